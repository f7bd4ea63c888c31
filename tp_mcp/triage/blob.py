"""Getting the data out of a pytest-html report of generation 4.

Its rows are one JSON document in the attribute `data-jsonblob` of the element `data-container`, near the end of the
file. Reports of 100 MB occur, so the attribute is neither found by an HTML parser nor decoded as a whole: only its
quotation marks, which the JSON needs, are decoded here, at once and in place. The texts in the data are still escaped
as in an attribute, and `html.unescape` decodes those that are looked at.
"""

import json
import re

from tp_mcp.errors import ReportError

_QUOTE = "&#34;"
# The tag cannot be faked by the text before it: there every "<" is an entity, also after the quotes were decoded.
_CONTAINER = re.compile(r'<div\b[^<>]{0,200}?\bid="data-container"\s{1,200}data-jsonblob="')
_GENERATION = re.compile(r"pytest-html</a>\s{0,200}v(\d{1,4})\b")
_AGAIN = "Fetch the report again once the run has ended; the log of the run has the failures too."


def report_data(document: str) -> object:
    """Return the JSON data of a report, its texts escaped as in an HTML attribute.

    Raises:
        ReportError: the document is empty, is no pytest-html report, is of a generation that is not read, is cut off,
            or its data is not JSON.

    """
    if not document or document.isspace():
        raise ReportError("The report is empty.", remedy=_AGAIN)
    text = document.replace(_QUOTE, '"')
    container = _CONTAINER.search(text)
    if container is None:
        raise _without_data(text)
    try:
        data, end = json.JSONDecoder().raw_decode(text, container.end())
    except (ValueError, RecursionError):
        raise ReportError("The report is cut off or damaged: its data is not JSON.", remedy=_AGAIN) from None
    if not text.startswith('">', end):
        raise ReportError("The report is cut off or damaged: something follows its data.", remedy=_AGAIN)
    return data


def _without_data(text: str) -> ReportError:
    generation = _GENERATION.search(text)
    if generation is None:
        return ReportError("This is not a pytest-html report.", remedy="Check the report's path.")
    if int(generation[1]) < 4:
        return ReportError(
            f"The report was written by pytest-html {generation[1]}, and reports of that generation are not read yet.",
            remedy="Open the report in a browser, or read the end of the run's log.",
        )
    return ReportError("The report is cut off before its data.", remedy=_AGAIN)
