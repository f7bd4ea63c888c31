"""Who may change what: the operator's policy, what a person has to confirm, and the record of it all."""
