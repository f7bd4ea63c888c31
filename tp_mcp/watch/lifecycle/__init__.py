"""The transitions of a watch, as pure functions of observations; and the runner of chains."""
