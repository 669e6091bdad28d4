"""Where sessions are stored: in a database on a local disk, or as objects that apps share."""
