"""The data of a watch: its state, its specification and its position in a chain."""
