"""Understanding a finished run: its report's tests, and where each of them failed."""
