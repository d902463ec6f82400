"""How fast the indexed store is beside a linear scan: `python -m benchmarks`, or `nox -s bench`."""
