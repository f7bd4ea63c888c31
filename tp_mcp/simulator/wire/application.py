"""The ASGI application: TP's routes, the control plane, and the fault layer around both."""

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from tp_mcp.simulator.refusals import Refusal
from tp_mcp.simulator.tokens import BadTokenError
from tp_mcp.simulator.wire import control, endpoints
from tp_mcp.simulator.wire.answers import bad_token, not_found, refused
from tp_mcp.simulator.wire.faulty import FaultLayer

if TYPE_CHECKING:
    from tp_mcp.simulator.simulator import Simulator


def build_application(simulator: "Simulator") -> FaultLayer:
    """Return the application of one simulated TP."""
    tp_routes = endpoints.routes(simulator)
    application = Starlette(
        routes=[*control.routes(simulator, frozenset(route.name for route in tp_routes)), *tp_routes],
        exception_handlers={Refusal: refused, BadTokenError: bad_token, 404: not_found},
    )
    application.router.redirect_slashes = False
    return FaultLayer(application, simulator, tp_routes)
