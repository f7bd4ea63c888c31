"""Everything that can go wrong, as one tree.

    TpMcpError
    ├── ConfigurationError          a setting is missing or wrong; names its variable
    ├── InputError                  what the caller passed cannot be used; nothing was sent
    │   ├── InvalidArgumentError    a wrong or missing value, an unknown name
    │   └── UnsafeArgumentError     a value that a shell or pytest could take for something else
    ├── PolicyError                 the operator does not allow it; nothing was sent
    ├── ConfirmationError           it is not confirmed, or by something else; nothing was sent
    ├── TooManyRequestsError        a principal asks too often; nothing was sent
    ├── TpError                     TP could not be reached, or would not
    │   ├── TpUnreachableError      no answer
    │   │   ├── TpRefusedError      no connection was made, so nothing was sent
    │   │   └── TpTimeoutError      no answer within the limit
    │   ├── TpNotAuthenticatedError the login or token is missing, wrong or expired
    │   ├── TpForbiddenError        logged in, but not allowed
    │   ├── TpNotFoundError         TP does not know it (404 with a JSON body)
    │   ├── TpBusyError             another job holds the target (409)
    │   ├── TpRejectedError         TP refused the request (400 and the like)
    │   ├── TpServerFaultError      TP failed (5xx)
    │   └── TpNotJsonError          the answer is not the JSON that was expected
    ├── WatchError
    │   ├── WatchNotFoundError      no watch with this id in this conversation
    │   ├── WatchSpecError          a watch that cannot work
    │   └── WatchLimitError         too many watches
    ├── StoreError                  the store on disk cannot be used
    │   ├── StoreBusyError          another process holds it
    │   ├── StoreFullError          no space left
    │   ├── StoreCorruptError       the file is damaged
    │   ├── StoreVersionError       the file was written by a newer version
    │   └── StoreLocationError      the directory cannot hold a store
    ├── ManifestError               a connector manifest is wrong
    ├── ConnectorError              a call through a connector failed
    └── ReportError                 a report cannot be read

Every one of them says what was wrong (`message`) and what to do next (`remedy`), in words that are safe to show to a
model: no secret, no stack trace. Tools turn them into tool errors; nothing else is shown.
"""


class TpMcpError(Exception):
    """The root: something that can be said to the user in plain words.

    Attributes:
        message: what was wrong, one or more sentences.
        remedy: what would be right, or what to do next; may be empty.

    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class ConfigurationError(TpMcpError):
    """A setting is missing or wrong."""


class InputError(TpMcpError):
    """What the caller passed cannot be used. Nothing was sent."""


class InvalidArgumentError(InputError):
    """A wrong or missing value, or a name that is not known."""


class UnsafeArgumentError(InputError):
    """A value that a shell or pytest could take for something else than was meant."""


class PolicyError(TpMcpError):
    """Whoever runs the server does not allow it. Nothing was sent."""


class ConfirmationError(TpMcpError):
    """What has to be confirmed was not, or the code was given for something else. Nothing was sent."""


class TooManyRequestsError(TpMcpError):
    """A principal asks too often. Nothing was sent."""


class TpError(TpMcpError):
    """TP could not be reached, or would not do what was asked.

    Attributes:
        may_have_acted: whether the request may have reached TP without an answer coming back. For a request that
            changes the world this means that its outcome is unknown and must be settled by reading.
        status_code: the HTTP status of the answer; None where there was no answer.

    """

    def __init__(
        self, message: str, *, remedy: str = "", may_have_acted: bool = False, status_code: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.may_have_acted = may_have_acted
        self.status_code = status_code


class TpUnreachableError(TpError):
    """No answer came from TP."""


class TpRefusedError(TpUnreachableError):
    """No connection could be made, so nothing was sent."""


class TpTimeoutError(TpUnreachableError):
    """TP did not answer within the limit."""


class TpNotAuthenticatedError(TpError):
    """The login or the token is missing, wrong or expired."""


class TpForbiddenError(TpError):
    """The user is known to TP but may not do this."""


class TpNotFoundError(TpError):
    """TP does not know what was asked for."""


class TpBusyError(TpError):
    """Another job holds the target."""


class TpRejectedError(TpError):
    """TP refused the request as it stands."""


class TpServerFaultError(TpError):
    """TP failed while answering."""


class TpNotJsonError(TpError):
    """The answer is not the JSON that was expected."""


class WatchError(TpMcpError):
    """A watch cannot be made, found or changed."""


class WatchNotFoundError(WatchError):
    """No watch with this id belongs to the caller."""


class WatchSpecError(WatchError):
    """The watch that was asked for cannot work."""


class WatchLimitError(WatchError):
    """There are too many watches already."""


class StoreError(TpMcpError):
    """The store on disk cannot be used."""


class StoreBusyError(StoreError):
    """Another process holds the store for too long."""


class StoreFullError(StoreError):
    """The disk or the store's own limit is full."""


class StoreCorruptError(StoreError):
    """The store's file is damaged."""


class StoreVersionError(StoreError):
    """The store's file was written by a newer version."""


class StoreLocationError(StoreError):
    """The state directory cannot hold a store."""


class ManifestError(TpMcpError):
    """A connector manifest is wrong."""


class ConnectorError(TpMcpError):
    """A call through a connector failed.

    Attributes:
        may_have_acted: whether the request may have been carried out without an answer that says so.
        status_code: the HTTP status of the answer; None where there was no answer.

    """

    def __init__(
        self, message: str, *, remedy: str = "", may_have_acted: bool = False, status_code: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.may_have_acted = may_have_acted
        self.status_code = status_code


class ReportError(TpMcpError):
    """A report cannot be read."""
