"""The rule of a watch whose caller described the end."""

import json

from pydantic import JsonValue

from tp_mcp.connectors.match import matches
from tp_mcp.watch.model.reading import Interpretation, Reading, Verdict, sign_of
from tp_mcp.watch.model.watch import Watch

MATCH_RULE = "match"


class MatchRule:
    """Compares each answer with `fail_match` first, and then with `done_match`."""

    def interpret(self, watch: Watch, answer: JsonValue) -> Interpretation:
        """Return the reading of an answer; any change of the answer is a sign of life."""
        verdict = Verdict.UNDERWAY
        if watch.spec.fail_match is not None and matches(watch.spec.fail_match, answer):
            verdict = Verdict.FAILED
        elif watch.spec.done_match is not None and matches(watch.spec.done_match, answer):
            verdict = Verdict.DONE
        sign = sign_of(json.dumps(answer, sort_keys=True, separators=(",", ":")))
        return Interpretation(Reading(verdict=verdict, phase="", sign_of_life=sign), memory=None)
