"""Benchmarks: one command each, each against a floor measured in the same run."""
