"""The Tasks extension `io.modelcontextprotocol/tasks` of the 2026-07-28 protocol (SEP-2663).

A call that takes long is answered with a task, whose id leads to the result later, also from another connection.
`extension` and `task_notifications` are the protocol over a `TaskKeeper`, and know nothing of watches. `watch_tasks` is
the keeper over watches.
"""
