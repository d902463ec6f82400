"""The subjects that are compared, a module for each."""
