"""Flink jobs: one file, one job. Pure functions from tables to tables, then a `main` of a few lines."""
