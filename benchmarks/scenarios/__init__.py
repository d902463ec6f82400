"""What is measured, one scenario a file, and the sessions and operations that the scenarios share."""
