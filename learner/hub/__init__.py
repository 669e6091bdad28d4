"""Soft prompts on the Hugging Face Hub: find, load, push."""
