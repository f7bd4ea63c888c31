"""What a client can read by its URI, apart from calling a tool: watches, the inbox."""
