"""Benchmarks: each row is a ratio to a reference that was measured in the same run on the same machine."""
