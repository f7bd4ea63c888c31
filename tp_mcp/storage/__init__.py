"""Everything that is kept: watches, the inbox, access, and the history of runs."""
