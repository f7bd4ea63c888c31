"""Database engines behind the store."""
