"""What can be chosen when the simulator is started."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_SPEED = 20.0
DEFAULT_TOKEN_LIFETIME_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulated TP behaves.

    Attributes:
        speed: simulated seconds per real second, for everything TP does itself. Zero starts with time standing still.
        seed: makes durations and the like reproducible.
        workdir: the scratch directory, made when it does not exist; a temporary one, removed at the end, when None.
            Its path must need no quoting in a shell, because TP pastes it into its script as it is.
        first_exec_id: the id of the first execution that is started.
        token_lifetime_seconds: how long a minted token is valid, in real (not scaled) seconds.
        sso_only: True for a production TP: `/token-auth/` answers with the login page of the single sign-on.
        start_time: the simulated time at the start, in seconds since the epoch; the real time when None.

    The users are `demo` (password `demo-password`) and `rival` (password `rival-password`).

    """

    speed: float = DEFAULT_SPEED
    seed: int = 0
    workdir: Path | None = None
    first_exec_id: int = 446
    token_lifetime_seconds: float = DEFAULT_TOKEN_LIFETIME_SECONDS
    sso_only: bool = False
    start_time: float | None = None
