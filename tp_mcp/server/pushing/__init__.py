"""Telling clients that something changed, without being asked.

Every push is a hint: it may be lost, it never counts as a showing, and what it is about can be read at any time.
"""
