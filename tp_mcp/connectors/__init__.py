"""The connector manifest: its models, its loader, its templates and its matches."""
