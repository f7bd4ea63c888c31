"""Firmware upgrades of a testbed."""
