"""Polls TP for watches: targets, due times, leases and outages."""
