"""A stand-in for the Hugging Face Hub that the real client talks to over loopback."""
