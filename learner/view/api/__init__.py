"""What programs can do, as the page does it."""
