"""Soft prompts in front of a frozen language model, and everything that touches tensors."""
