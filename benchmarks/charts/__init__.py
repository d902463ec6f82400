"""The plots of the report: a file for each, and what they share in `house`."""
