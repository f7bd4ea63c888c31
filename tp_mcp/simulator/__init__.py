"""The embedded TP: a test platform of its own, because a real one is out of reach.

It serves the automation API from one ASGI application, in process or on a port. Upgrades are timelines in simulated
time; executions are real: a real bash runs a real pytest over a sample suite, which talks to a small simulated
appliance whose running build decides what passes. See `wire.control_plane` for the control plane under `/_sim/`.

It imports nothing of the rest of the package, so that a mistake in a name cannot cancel out.
"""

from tp_mcp.simulator.controller.controller import script_lines
from tp_mcp.simulator.simulator import Simulator, serve_simulator
from tp_mcp.simulator.state import SimulatorOptions

__all__ = ["Simulator", "SimulatorOptions", "script_lines", "serve_simulator"]
