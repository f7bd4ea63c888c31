"""What is shown is cleaned and without secrets, in whichever order they were hidden."""

import pytest
from pydantic import SecretStr

from tp_mcp.redaction import Redactor
from tp_mcp.results.document import Document, ItemList, LogExcerpt
from tp_mcp.server.rendering import inbox_text, kept_text
from tp_mcp.watch.model.watch import InboxEntry, Owner

PREFIX = "restore image scp /a 10.1.1.1 builder"


async def nowhere(_: str) -> str:
    raise AssertionError("nothing had to be kept")


@pytest.mark.parametrize(
    "log", [f"execute\x1b[0m {PREFIX} hunter2000", f"exe\u200bcute {PREFIX} hunter2000", "builder hun \rter2000"]
)
async def test_a_secret_goes_whatever_a_terminal_put_into_it_or_before_it(log: str) -> None:
    redactor = Redactor((SecretStr("hunter2000"),)) if "\r" in log else Redactor()
    document = Document(log, (LogExcerpt(log, log), ItemList(log, (log,), rest=log)), log)
    entry = InboxEntry("w_00000000", Owner("p", "c", exact=True), f"[w_00000000] {log}", "job:1", 0.0)
    inbox, _ = inbox_text([entry], redactor)
    text = await kept_text(document, inbox, redactor, max_characters=2_000, keep=nowhere)
    assert "[redacted]" in text
    assert "ter2000" not in text
