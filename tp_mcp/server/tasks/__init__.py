"""The Tasks extension `io.modelcontextprotocol/tasks` of the 2026-07-28 protocol (SEP-2663).

A tool call whose result takes long is answered with a task: a handle by which the client asks for the result later, or
listens for it, also from another connection. What a task stands for is behind a port (`port`); `extension` and
`listening` are the protocol, and know nothing of watches. `durable` is the port over watches.
"""
