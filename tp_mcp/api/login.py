"""What TP's answer to a login means."""

from pydantic import SecretStr

from tp_mcp.api.answers import Judge, RawAnswer, is_json
from tp_mcp.api.auth import is_token
from tp_mcp.api.endpoints import MINT_TOKEN
from tp_mcp.api.words import server_words
from tp_mcp.errors import TpError, TpNotAuthenticatedError, TpNotJsonError

_REFUSING_STATUSES = (400, 401, 403)
_TOKEN_FROM_ELSEWHERE = "Set TP_MCP_TOKEN to a token issued elsewhere, instead of TP_MCP_USERNAME and TP_MCP_PASSWORD."  # noqa: S105 - names of variables


def read_token(answer: RawAnswer, judge: Judge) -> SecretStr:
    """Return the token in an answer of `/token-auth/`.

    Raises:
        TpNotAuthenticatedError: user name and password are wrong (see `refuses_credentials`), or a page came instead of
            a token.
        TpNotJsonError: a success without a token, a refusal that is not TP's own, or a redirect to the same page
            elsewhere.
        TpError: as for every other call.

    """
    good = 200 <= answer.status < 300
    if answer.status in (404, 405) or (good and answer.is_html):
        raise _page_instead(answer, judge)
    if answer.status in _REFUSING_STATUSES:
        raise _refusal(answer, judge)
    try:
        value = judge.json(MINT_TOKEN, answer)
    except TpNotAuthenticatedError:
        raise _page_instead(answer, judge) from None
    token = value.get("token") if isinstance(value, dict) else None
    if not isinstance(token, str) or not is_token(token):
        raise TpNotJsonError(
            "TP's answer to the login has no token in it.", remedy=judge.address_remedy, status_code=answer.status
        )
    return SecretStr(token)


def refuses_credentials(error: TpError) -> bool:
    """Tell whether a login failed as TP itself refused the user name and password, which may lock the account."""
    return isinstance(error, TpNotAuthenticatedError) and error.status_code in _REFUSING_STATUSES


def _refusal(answer: RawAnswer, judge: Judge) -> TpError:
    if not is_json(answer):
        return TpNotJsonError(
            f"The answer to the login has status {answer.status} but no JSON, so it does not say whether the user name "
            "and password are right.",
            remedy=judge.address_remedy if judge.has_answered else f"{judge.address_remedy} {_TOKEN_FROM_ELSEWHERE}",
            status_code=answer.status,
        )
    words = server_words(answer.body, judge.redactor)
    return TpNotAuthenticatedError(
        "TP does not accept the user name and password." + (f' It said: "{words}"' if words else ""),
        remedy=judge.login_remedy,
        status_code=answer.status,
    )


def _page_instead(answer: RawAnswer, judge: Judge) -> TpNotAuthenticatedError:
    if judge.has_answered:
        page = "a login page" if answer.is_login_page else f"another page (status {answer.status})"
        return TpNotAuthenticatedError(
            f"TP answered the login with {page} instead of the token that it gave before.",
            remedy=judge.address_remedy,
            status_code=answer.status,
        )
    return TpNotAuthenticatedError(
        "This TP does not hand out tokens at /token-auth/: it has single sign-on, or TP_MCP_BASE_URL is wrong.",
        remedy=_TOKEN_FROM_ELSEWHERE,
        status_code=answer.status,
    )
