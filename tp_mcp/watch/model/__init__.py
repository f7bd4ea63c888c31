"""What a watch is: its state, its specification and its place in a chain."""
