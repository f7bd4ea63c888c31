"""How a watch changes: pure functions of what was observed."""
