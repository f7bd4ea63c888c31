"""What executions came to, kept to compare later ones with; and what people noted of their failures."""
