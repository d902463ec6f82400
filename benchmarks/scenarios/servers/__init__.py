"""Measure the Redis store on a real server; `scenario` runs all of it."""
