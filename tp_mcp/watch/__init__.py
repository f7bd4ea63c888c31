"""Watches: jobs followed to their end, also while no client is connected.

Knows no MCP and no TP. `store` declares what is kept; `lifecycle.state_machine` is the life of a watch as a pure
function; `polling` reads TP; `delivery` brings the end to the conversation that asked.
"""
