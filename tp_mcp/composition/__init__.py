"""Joins the parts of the server. The only reader of the process environment."""
