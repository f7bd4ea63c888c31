"""Everything that is kept: watches, the inbox, access, the history of runs. `opening.open_storage` opens it."""
