"""A visitor's lesson and session, and where sessions are kept. Knows nothing of pages."""
