"""Reading requests and writing answers the way TP does."""

from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.token_issuer import BadTokenError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LOGIN_PATH = "/login/"
LOGIN_PAGE = """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Single sign-on</h1><form method="post" action="/login/"><input name="username"><input name="password"
type="password"><button>Sign in</button></form></body></html>
"""
NOT_FOUND_PAGE = (
    "<!DOCTYPE html>\n<html><body><h1>Not Found</h1><p>The requested resource was not found.</p></body></html>"
)
BAD_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>"
EXPIRED = "Signature has expired."

_STATUS = {Reason.INVALID: 400, Reason.FORBIDDEN: 403, Reason.UNKNOWN: 404, Reason.CONFLICT: 409}
_UNAUTHORIZED = 401


def error(status: int, message: str, headers: dict[str, str] | None = None) -> "Response":
    """Return `{"error": message}`."""
    return JSONResponse({"error": message}, status, headers)


def unauthorized(message: str) -> "Response":
    """Return TP's 401."""
    return error(_UNAUTHORIZED, message, {"WWW-Authenticate": 'JWT realm="api"'})


def status_of(reason: str) -> int:
    """Return the status that a recorded reason was answered with."""
    return {known.value: status for known, status in _STATUS.items()}.get(reason, _UNAUTHORIZED)


def login_page() -> "Response":
    """Return the HTML of a login page, with 200."""
    return HTMLResponse(LOGIN_PAGE)


def login_redirect(path: str) -> "Response":
    """Return a redirect to the login page."""
    return RedirectResponse(f"{LOGIN_PATH}?next={path}", 302)


async def refused(_: "Request", exception: Exception) -> "Response":
    """Put a refusal on the wire."""
    if not isinstance(exception, Refusal):
        raise exception
    return error(_STATUS[exception.reason], exception.message)


async def bad_token(_: "Request", exception: Exception) -> "Response":
    """Return the response to a missing, wrong or expired token."""
    return unauthorized(str(exception))


async def not_found(_: "Request", exception: Exception) -> "Response":
    """Return TP's HTML 404 page for an unknown path."""
    del exception
    return HTMLResponse(NOT_FOUND_PAGE, 404)


async def json_object(request: "Request") -> dict[str, Any]:
    """Return the request's JSON object. Raises Refusal (INVALID) if the body is none."""
    try:
        body = await request.json()
    except ValueError:
        raise Refusal(Reason.INVALID, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(Reason.INVALID, "the body is not a JSON object")
    return body


async def written(request: "Request") -> dict[str, Any]:
    """Return the request's JSON object, empty if there is none."""
    try:
        return await json_object(request)
    except Refusal:
        return {}


def bearer(request: "Request") -> str:
    """Return the token of the `Authorization: JWT <token>` header. Raises BadTokenError if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "JWT" or not token.strip():
        raise BadTokenError("Authentication credentials were not provided.")
    return token.strip()
