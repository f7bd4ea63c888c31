"""All errors of the package, as one tree.

    TpMcpError
    ├── ConfigurationError          a setting is missing or wrong; names its variable
    ├── InputError                  an argument cannot be used; nothing was sent
    │   ├── InvalidArgumentError    a wrong or missing value, an unknown name
    │   └── UnsafeArgumentError     a value that a shell or pytest could misinterpret
    ├── PolicyError                 the operator does not allow it; nothing was sent
    ├── ConfirmationError           the confirmation is missing or does not match; nothing was sent
    ├── TooManyRequestsError        a principal exceeds a rate limit; nothing was sent
    ├── TpError                     a request to TP failed
    │   ├── TpUnreachableError      no answer
    │   │   ├── TpRefusedError      no connection was made, so nothing was sent
    │   │   └── TpTimeoutError      no answer within the time limit
    │   ├── TpNotAuthenticatedError the login or token is missing, wrong or expired
    │   ├── TpForbiddenError        logged in, but not allowed
    │   ├── TpNotFoundError         TP does not know the object (404 with a JSON body)
    │   ├── TpBusyError             another job holds the target (409)
    │   ├── TpRejectedError         TP rejected the request (400 and similar)
    │   ├── TpServerFaultError      TP failed (5xx)
    │   └── TpNotJsonError          the answer is not the expected JSON
    ├── WatchError
    │   ├── WatchNotFoundError      no watch with this id in this conversation
    │   ├── WatchSpecError          an invalid watch specification
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

Each error has a description (`message`) and a next step (`remedy`) that are safe to show to a model: no secret, no
stack trace. Tools turn these errors into tool errors; nothing else is shown.
"""


class TpMcpError(Exception):
    """Root of the tree: an error with a plain explanation for the user.

    Attributes:
        message: description of the error, one or more sentences.
        remedy: how to fix it, or the next step; may be empty.
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
    """An argument cannot be used. Nothing was sent."""


class InvalidArgumentError(InputError):
    """A value is wrong or missing, or a name is unknown."""


class UnsafeArgumentError(InputError):
    """A shell or pytest could misinterpret a value."""


class PolicyError(TpMcpError):
    """The operator does not allow the action. Nothing was sent."""


class ConfirmationError(TpMcpError):
    """The confirmation is missing, or its code belongs to another action. Nothing was sent."""


class TooManyRequestsError(TpMcpError):
    """A principal sends too many requests. Nothing was sent."""


class TpError(TpMcpError):
    """A request to TP failed.

    Attributes:
        may_have_acted: True if the request may have reached TP although no answer came back. The outcome of a write is
            then unknown and must be determined by reading.
        status_code: HTTP status of the answer; None without an answer.
    """

    def __init__(
        self, message: str, *, remedy: str = "", may_have_acted: bool = False, status_code: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.may_have_acted = may_have_acted
        self.status_code = status_code


class TpUnreachableError(TpError):
    """TP did not answer."""


class TpRefusedError(TpUnreachableError):
    """No connection was made, so nothing was sent."""


class TpTimeoutError(TpUnreachableError):
    """TP did not answer within the time limit."""


class TpNotAuthenticatedError(TpError):
    """The login or the token is missing, wrong or expired."""


class TpForbiddenError(TpError):
    """TP does not permit the user to do this."""


class TpNotFoundError(TpError):
    """TP does not know the requested object."""


class TpBusyError(TpError):
    """Another job holds the target."""


class TpRejectedError(TpError):
    """TP rejected the request."""


class TpServerFaultError(TpError):
    """TP failed internally (5xx)."""


class TpNotJsonError(TpError):
    """The answer is not the expected JSON."""


class WatchError(TpMcpError):
    """A watch cannot be created, found or changed."""


class WatchNotFoundError(WatchError):
    """No watch with this id belongs to the caller."""


class WatchSpecError(WatchError):
    """A watch specification is invalid."""


class WatchLimitError(WatchError):
    """There are too many watches."""


class StoreError(TpMcpError):
    """The store on disk cannot be used."""


class StoreBusyError(StoreError):
    """Another process has held the store for too long."""


class StoreFullError(StoreError):
    """The disk is full, or the store reached its own limit."""


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
        may_have_acted: True if the request may have been carried out although no answer confirmed it.
        status_code: HTTP status of the answer; None without an answer.
    """

    def __init__(
        self, message: str, *, remedy: str = "", may_have_acted: bool = False, status_code: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.may_have_acted = may_have_acted
        self.status_code = status_code


class ReportError(TpMcpError):
    """A report cannot be read."""
