"""What is shown is cleaned and without secrets, in whichever order they were hidden."""

import pytest
from pydantic import SecretStr

from tp_mcp.redaction import Redactor
from tp_mcp.results.document import Document, ItemList, LogExcerpt
from tp_mcp.server.results import result_text

PREFIX = "restore image scp /a 10.1.1.1 builder"


@pytest.mark.parametrize(
    "log", [f"execute\x1b[0m {PREFIX} hunter2000", f"exe\u200bcute {PREFIX} hunter2000", "builder hun \rter2000"]
)
def test_a_secret_goes_whatever_a_terminal_put_into_it_or_before_it(log: str) -> None:
    redactor = Redactor((SecretStr("hunter2000"),)) if "\r" in log else Redactor()
    text = result_text(
        Document(log, (LogExcerpt(log, log), ItemList(log, (log,), rest=log)), log), f"[w_00000000] {log}", redactor
    )
    assert "[redacted]" in text
    assert "ter2000" not in text
