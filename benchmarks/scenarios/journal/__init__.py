"""Measure the journal: saves, reads, pauses and loading, beside a store without one and SQLite written directly."""
