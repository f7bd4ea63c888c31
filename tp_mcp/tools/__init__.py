"""The tools, one module per resource."""
