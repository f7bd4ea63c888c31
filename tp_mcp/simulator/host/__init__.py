"""What lies on the simulated controller's disk: the `pytest` command that TP's script finds there."""
