"""What stands between browsers and the page."""
