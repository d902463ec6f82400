"""Mutants: mistakes of the kind that people make, each a small patch with the promise that it breaks.

`python -m tests.mutants` applies each to a copy of the project, in which a test has to find it.
"""
