"""Runs of pytest as TP shows them."""
