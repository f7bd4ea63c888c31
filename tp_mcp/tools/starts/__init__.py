"""Starting a job: confirmation, idempotency, chain arguments and the request itself."""
