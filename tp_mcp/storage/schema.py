"""The tables of both files, each as a list of steps that only ever add.

A file counts the steps it has taken. A newer process takes the missing ones; an older process refuses a newer file,
because it could not keep promises it does not know.
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE watches (
        id                 TEXT PRIMARY KEY,
        principal          TEXT NOT NULL,
        conversation       TEXT NOT NULL,
        conversation_exact INTEGER NOT NULL,
        server             TEXT NOT NULL,
        job                TEXT NOT NULL,
        title              TEXT NOT NULL,
        origin             TEXT NOT NULL,  -- JSON
        spec               TEXT NOT NULL,  -- JSON
        state              TEXT NOT NULL,
        advisory           TEXT,
        outcome            TEXT,
        reason             TEXT NOT NULL,
        record             TEXT NOT NULL,  -- JSON: the answers of TP before, at and since the start
        polls              INTEGER NOT NULL,
        created_at         REAL NOT NULL,
        started_at         REAL,
        ended_at           REAL,
        revision           INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX watches_of_owner ON watches (principal, conversation, created_at);
    CREATE INDEX watches_unended ON watches (server, created_at) WHERE ended_at IS NULL;

    CREATE TABLE inbox (
        watch_id           TEXT PRIMARY KEY REFERENCES watches (id),
        principal          TEXT NOT NULL,
        conversation       TEXT NOT NULL,
        conversation_exact INTEGER NOT NULL,
        job                TEXT NOT NULL,
        text               TEXT NOT NULL,
        created_at         REAL NOT NULL,
        showings           INTEGER NOT NULL,
        seen_at            REAL
    ) STRICT;
    CREATE INDEX inbox_unseen ON inbox (principal, conversation, created_at) WHERE seen_at IS NULL;
    """,
    """
    ALTER TABLE watches ADD COLUMN call_key TEXT NOT NULL DEFAULT '';
    CREATE INDEX watches_by_call ON watches (principal, conversation, call_key, created_at) WHERE call_key != '';

    CREATE TABLE durations (
        id                 INTEGER PRIMARY KEY AUTOINCREMENT,
        server             TEXT NOT NULL,
        job_group          TEXT NOT NULL,
        seconds            REAL NOT NULL
    ) STRICT;
    CREATE INDEX durations_of_group ON durations (server, job_group, id);
    """,
    """
    CREATE TABLE processes (
        id                 TEXT PRIMARY KEY,
        beat_at            REAL NOT NULL
    ) STRICT;
    CREATE TABLE targets (
        epoch              INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, even after its row is gone
        server             TEXT NOT NULL,
        target             TEXT NOT NULL,
        owner              TEXT NOT NULL,  -- a process; it may have ended
        UNIQUE (server, target)
    ) STRICT;
    CREATE INDEX targets_of_owner ON targets (owner);
    """,
    """
    ALTER TABLE watches ADD COLUMN chain TEXT;         -- JSON
    ALTER TABLE watches ADD COLUMN parent TEXT;        -- the watch of the step before it
    ALTER TABLE watches ADD COLUMN pending_step TEXT;  -- the watch that follows, until it has begun
    CREATE UNIQUE INDEX watches_of_parent ON watches (parent) WHERE parent IS NOT NULL;
    CREATE INDEX watches_pending ON watches (server, ended_at) WHERE pending_step IS NOT NULL;
    """,
    """
    CREATE TABLE deliveries (
        watch_id           TEXT NOT NULL,
        channel            TEXT NOT NULL,
        outcome            TEXT NOT NULL,
        at                 REAL NOT NULL,
        times              INTEGER NOT NULL,
        UNIQUE (watch_id, channel)
    ) STRICT;
    """,
    """
    CREATE TABLE confirmations (
        code_hash          TEXT PRIMARY KEY,
        principal          TEXT NOT NULL,
        conversation       TEXT NOT NULL,
        digest             TEXT NOT NULL,
        plan               TEXT NOT NULL,  -- JSON: the lines that were shown
        testbed            TEXT NOT NULL,
        by_person          INTEGER NOT NULL,
        expires_at         REAL NOT NULL,
        approved_at        REAL,
        used_at            REAL
    ) STRICT;

    CREATE TABLE audit (
        id                 INTEGER PRIMARY KEY AUTOINCREMENT,
        at                 REAL NOT NULL,
        call               TEXT NOT NULL,
        principal          TEXT NOT NULL,
        conversation       TEXT NOT NULL,
        tool               TEXT NOT NULL,
        event              TEXT NOT NULL,
        action             TEXT,
        testbed            TEXT NOT NULL,
        detail             TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_of_principal ON audit (principal, action, event, at);
    CREATE INDEX audit_by_time ON audit (at);
    CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log can only be appended to'); END;
    CREATE TRIGGER audit_never_shrinks BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log can only be appended to'); END;
    """,
    """
    CREATE TABLE outgoing (
        id                 TEXT PRIMARY KEY,  -- of the event; the same on each attempt
        endpoint           TEXT NOT NULL,
        event              TEXT NOT NULL,
        watch_id           TEXT NOT NULL,
        body               TEXT NOT NULL,
        created_at         REAL NOT NULL,
        attempts           INTEGER NOT NULL,
        due_at             REAL NOT NULL,     -- moved ahead by the process that sends it, so that only one does
        UNIQUE (endpoint, watch_id, event)
    ) STRICT;
    CREATE INDEX outgoing_due ON outgoing (endpoint, due_at);
    """,
    """
    CREATE TABLE tasks (
        id                 TEXT PRIMARY KEY,
        principal          TEXT NOT NULL,
        conversation       TEXT NOT NULL,
        conversation_exact INTEGER NOT NULL,
        watch_ids          TEXT NOT NULL,  -- JSON
        stood              TEXT NOT NULL,  -- JSON: how each watch stood when the task was made
        until              TEXT NOT NULL,
        created_at         REAL NOT NULL,
        expires_at         REAL NOT NULL,
        state              TEXT NOT NULL,
        ended_at           REAL,
        text               TEXT NOT NULL,
        is_error           INTEGER NOT NULL,
        told               TEXT NOT NULL   -- JSON: the watches whose ends the text reports
    ) STRICT;
    CREATE INDEX tasks_of_principal ON tasks (principal);
    CREATE INDEX tasks_by_expiry ON tasks (expires_at);
    """,
    """
    CREATE TABLE tokens (
        token_hash         TEXT PRIMARY KEY,
        name               TEXT NOT NULL,
        principal          TEXT NOT NULL,
        created_at         REAL NOT NULL,
        expires_at         REAL,
        revoked_at         REAL
    ) STRICT;
    CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;
    """,
    """
    CREATE TABLE credentials (
        server             TEXT NOT NULL,
        principal          TEXT NOT NULL,
        username           TEXT NOT NULL,
        kind               TEXT NOT NULL,
        sealed             BLOB NOT NULL,  -- encrypted, bound to server and principal
        created_at         REAL NOT NULL,
        PRIMARY KEY (server, principal)
    ) STRICT;
    """,
    """
    ALTER TABLE watches ADD COLUMN kind TEXT NOT NULL DEFAULT '';
    ALTER TABLE watches ADD COLUMN testbed TEXT NOT NULL DEFAULT '';
    -- Earlier, the kind was in the key of the job, and the testbed in the arguments or the baseline.
    UPDATE watches SET
        kind = CASE
            WHEN job LIKE 'upgrade:%' THEN 'upgrade'
            WHEN job LIKE 'execution:%' OR job LIKE 'run:%' THEN 'execution'
            ELSE ''
        END,
        testbed = COALESCE(
            CASE WHEN job LIKE 'upgrade:%' THEN substr(job, 9) END,
            json_extract(origin, '$.arguments.testbed'),
            json_extract(origin, '$.arguments.lab'),
            json_extract(record, '$.baseline.lab'),
            ''
        );
    """,
)

HISTORY_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE runs (
        server             TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        lab                TEXT NOT NULL,
        build              TEXT NOT NULL,
        ended_at           REAL NOT NULL,
        outcomes           BLOB NOT NULL,  -- JSON by test, compressed
        PRIMARY KEY (server, exec_id)
    ) STRICT;
    CREATE INDEX runs_of_lab ON runs (server, lab, exec_id);

    CREATE TABLE readers (
        server             TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        principal          TEXT NOT NULL,
        PRIMARY KEY (server, exec_id, principal),
        FOREIGN KEY (server, exec_id) REFERENCES runs (server, exec_id) ON DELETE CASCADE
    ) STRICT;

    CREATE TABLE upgrades (
        server             TEXT NOT NULL,
        testbed            TEXT NOT NULL,
        at                 REAL NOT NULL,
        build              TEXT NOT NULL,
        PRIMARY KEY (server, testbed, at)
    ) STRICT;

    CREATE TABLE notes (
        principal          TEXT NOT NULL,
        server             TEXT NOT NULL,
        signature          TEXT NOT NULL,
        text               TEXT NOT NULL,
        made_at            REAL NOT NULL,
        until_build        TEXT NOT NULL,
        until_at           REAL,
        PRIMARY KEY (principal, server, signature)
    ) STRICT;

    CREATE TABLE reruns (
        server             TEXT NOT NULL,
        watch_id           TEXT NOT NULL,
        exec_id            INTEGER NOT NULL,
        made_at            REAL NOT NULL,
        PRIMARY KEY (server, watch_id)
    ) STRICT;
    """,
)
"""The history is in a file of its own, so that nothing it does holds up the watches."""
