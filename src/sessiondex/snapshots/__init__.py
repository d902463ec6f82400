"""Check sessions, and convert them to the form that stores keep."""
