"""Tables and the reproduction: what experiments come to."""
