"""A learner as files: the format, reading what strangers wrote, the card, the curve."""
