"""Runs of pytest on a testbed, which TP calls executions."""
