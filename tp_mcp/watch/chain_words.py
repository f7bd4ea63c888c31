"""What is said of a chain: all of it before it starts, and each step at its end."""

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from tp_mcp.results.text import shorten
from tp_mcp.watch.chain import Chain, Link

CALL_MAX_CHARACTERS = 300
STOPPED_MAX_CHARACTERS = 400


def call_words(tool: str, args: Mapping[str, JsonValue]) -> str:
    """Return a call as a model can copy it: `run_pytest(lab="AT16_Combined_FSW")`, values as JSON."""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in args.items())
    return f"{tool}({given})"


def end_line(chain: Chain | None) -> str:
    """Return where in its chain a watch ended, and what comes next or why nothing does; empty where it is in none."""
    if chain is None:
        return ""
    where = f"Step {chain.step} of {chain.steps}"
    if chain.next is not None:
        return f"{where}. Next, by itself: {_short(chain.next)}, watched as {chain.next.id}."
    if chain.stopped:
        return f"{where}. The chain stops here: {shorten(chain.stopped, STOPPED_MAX_CHARACTERS)}"
    if chain.links:
        return f"{where}. The chain ends here; not called: {', '.join(_short(link) for link in chain.links)}."
    return f"{where}, the last of its chain."


def place_lines(chain: Chain | None) -> tuple[str, ...]:
    """Return where in its chain a watch is that goes on, and that what follows needs nobody; empty without a chain."""
    if chain is None:
        return ()
    follows = "; what follows starts by itself at its end" if chain.links else ", the last"
    return (f"Step {chain.step} of {chain.steps} of its chain{follows}.",)


def chain_lines(chain: Chain, first: str) -> tuple[str, ...]:
    """Return a whole chain, one line for each step and message; `first` is the call it begins with."""
    return (f"step {chain.step}: {first}", *_following(chain.on_done, chain.on_fail, chain.step))


def _following(on_done: Link | str | None, on_fail: Link | str | None, step: int) -> Iterator[str]:
    for follow, end in ((on_done, "is done"), (on_fail, "failed, timed out or is lost")):
        if isinstance(follow, str):
            yield f"when step {step} {end}, this is said: {follow}"
        elif follow is not None:
            # Whole: this is what would be sent.
            yield f"step {step + 1}, when step {step} {end}: [{follow.id}] {call_words(follow.tool, follow.args)}"
            yield from _following(follow.on_done, follow.on_fail, step + 1)


def _short(link: Link) -> str:
    return shorten(call_words(link.tool, link.args), CALL_MAX_CHARACTERS)
