"""History of executions, for comparison with later ones, and notes on their failures."""
