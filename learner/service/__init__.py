"""What stands in front of the model: requests of many callers, merged into passes."""
