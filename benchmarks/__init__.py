"""Compare the indexed store with the linear scan that it replaces: `python -m benchmarks`."""
