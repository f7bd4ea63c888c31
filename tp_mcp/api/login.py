"""What TP's answer to a login means."""

from pydantic import SecretStr

from tp_mcp.api.answers import Judge, RawAnswer
from tp_mcp.api.auth import is_token
from tp_mcp.api.endpoints import MINT_TOKEN
from tp_mcp.api.words import server_words
from tp_mcp.errors import TpNotAuthenticatedError, TpNotJsonError


def read_token(answer: RawAnswer, judge: Judge) -> SecretStr:
    """Return the token in an answer of `/token-auth/`.

    Raises:
        TpNotAuthenticatedError: user name and password are wrong, or this TP hands out no tokens.
        TpNotJsonError: a success without a token, or a redirect to the same page elsewhere.
        TpError: as for every other call.

    """
    good = 200 <= answer.status < 300
    if answer.status in (404, 405) or (good and answer.is_html):
        raise _single_sign_on(answer)
    if answer.status in (400, 401, 403):
        words = server_words(answer.body, judge.redactor)
        raise TpNotAuthenticatedError(
            "TP does not accept the user name and password." + (f' It said: "{words}"' if words else ""),
            remedy="Correct TP_MCP_USERNAME and TP_MCP_PASSWORD.",
            status_code=answer.status,
        )
    try:
        value = judge.json(MINT_TOKEN, answer)
    except TpNotAuthenticatedError:
        raise _single_sign_on(answer) from None
    token = value.get("token") if isinstance(value, dict) else None
    if not isinstance(token, str) or not is_token(token):
        raise TpNotJsonError(
            "TP's answer to the login has no token in it.",
            remedy="Check TP_MCP_BASE_URL: it is probably not the base URL of a TP.",
            status_code=answer.status,
        )
    return SecretStr(token)


def _single_sign_on(answer: RawAnswer) -> TpNotAuthenticatedError:
    return TpNotAuthenticatedError(
        "This TP does not hand out tokens at /token-auth/: it has single sign-on, or TP_MCP_BASE_URL is wrong.",
        remedy="Set TP_MCP_TOKEN to a token issued elsewhere, instead of TP_MCP_USERNAME and TP_MCP_PASSWORD.",
        status_code=answer.status,
    )
