"""Sections of a result that show a run report or its triage."""
