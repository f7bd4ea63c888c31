"""Watches: jobs followed to their end, whoever closes the window meanwhile.

Knows no MCP and no TP. `ports` says what it needs of the world; `machine` is the life of a watch as a pure function.
"""
