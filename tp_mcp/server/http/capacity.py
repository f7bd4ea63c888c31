"""Limits of one HTTP server, also listed in docs/http-server.md."""

MAX_CONNECTIONS = 800
"""Open connections; further ones are closed at once. Below the usual 1,024 files of a process."""

MAX_SESSIONS = 400
"""Open sessions of the handshake era; a further client is answered 503."""

MAX_REQUESTS = 600
"""Requests being answered at one time, open streams included; a further one is answered 503."""

SESSION_IDLE_SECONDS = 1_800.0
"""How long a session without a request or an open stream is kept."""

SESSION_GONE_SECONDS = 3.0
"""How long after its stream and its last request have ended a session's client is taken to be gone."""

MAX_BODY_BYTES = 1_048_576
"""Largest request body; a larger one is answered 413."""

HEADERS_SECONDS = 10.0
"""How long the headers of a request may take to arrive, from connecting or, after an answer, from their first byte."""

BODY_SECONDS = 20.0
"""How long the body of a request may take to arrive."""

SEND_SECONDS = 10.0
"""How long a client may leave a part of its answer unread before its connection is dropped."""

SEND_BUFFER_BYTES = 65_536
"""Buffer of the system for a client that does not read, per direction of a connection."""

KEEP_ALIVE_SECONDS = 15
"""How long a connection without a request stays open after an answer, read or not."""

STOP_SECONDS = 3.0
"""How long stopping takes at most, whatever is open."""

ANSWER_SECONDS = 0.3
"""Part of it in which requests that are being answered may still end by themselves."""

LAST_PART_SECONDS = 0.2
"""Part of it in which the last part of a cut-off answer may go out."""

READY_SECONDS = 15.0
"""How long `/readyz` reuses the result of one check of TP."""

LOOK_SECONDS = 5.0
"""Longest duration of that check."""
