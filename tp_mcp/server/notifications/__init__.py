"""Notifications to clients about changes that they did not ask for in a call."""
