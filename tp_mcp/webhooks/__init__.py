"""Telling the endpoints that an operator configured how watches end, and how they go on."""
