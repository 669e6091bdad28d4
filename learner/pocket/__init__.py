"""Builds and measures the embedded model; nothing in the app imports it."""
