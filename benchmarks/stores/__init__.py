"""The stores that are compared."""
