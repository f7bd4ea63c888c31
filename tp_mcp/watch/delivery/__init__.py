"""How changes and ends of watches reach the conversation that asked for them."""
