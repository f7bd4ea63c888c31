"""Connector manifests: models, loader, checks, templates and matches."""
