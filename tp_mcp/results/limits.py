"""How much a model is given to read.

Clients cut or drop longer results silently; a result within these limits arrives whole.
"""

RESULT_MAX_CHARACTERS = 16_000
"""Longest tool result in characters, the inbox included: about 4,000 tokens."""

RESULT_MAX_BYTES = 30_000
"""Longest tool result in bytes of UTF-8, the inbox included."""

ERROR_MAX_CHARACTERS = 8_000
"""Longest error in characters."""

INBOX_MAX_CHARACTERS = 1_500
"""Longest list of ended watches at the end of a result, in characters."""

INBOX_MAX_ENTRIES = 5
"""Most ended watches that one result reports; further ones are counted."""

TYPICAL_CHARACTERS = 2_000
"""Target size of a result, unless its tool names another; longer results are stored, and the result names the id."""

MINIMUM_LIMIT = 800
"""Smallest limit, in characters and in bytes, that a document can be fitted into."""
