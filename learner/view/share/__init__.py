"""The Save & share tab."""
