"""TP's HTTP interface: routes that translate between the wire and the state, and nothing else."""
