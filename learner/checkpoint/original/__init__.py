"""The original experiments' `.pt` checkpoints, read without running anything in them."""
