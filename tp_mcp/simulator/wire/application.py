"""The ASGI application: TP's routes, the control plane, and the fault layer around both."""

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from tp_mcp.simulator.refusals import Refusal
from tp_mcp.simulator.token_issuer import BadTokenError
from tp_mcp.simulator.wire import control_plane, tp_routes
from tp_mcp.simulator.wire.fault_layer import FaultLayer
from tp_mcp.simulator.wire.responses import bad_token, not_found, refused

if TYPE_CHECKING:
    from tp_mcp.simulator.platform import Platform


def build_application(platform: "Platform") -> FaultLayer:
    """Return the application of one simulated TP."""
    of_tp = tp_routes.routes(platform)
    application = Starlette(
        routes=[*control_plane.routes(platform, frozenset(route.name for route in of_tp)), *of_tp],
        exception_handlers={Refusal: refused, BadTokenError: bad_token, 404: not_found},
    )
    application.router.redirect_slashes = False
    return FaultLayer(application, platform, of_tp)
