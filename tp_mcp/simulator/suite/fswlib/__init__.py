"""What the tests share: the CLI session, waits, checks."""
