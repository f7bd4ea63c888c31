"""How many examples a property is tried with."""

from hypothesis import settings

USUAL = 100
"""Examples where a test does not say how many."""


def examples(count: int) -> settings:
    """Decorate a property to be tried with so many examples; a tenth of them with `--hypothesis-profile=quick`."""
    return settings(max_examples=max(count * settings().max_examples // USUAL, 1))
