"""The frozen base model: loading, formatting, the one forward pass, decoding, memory."""
