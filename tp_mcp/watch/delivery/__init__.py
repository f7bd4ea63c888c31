"""How the end of a watch reaches the conversation that asked."""
