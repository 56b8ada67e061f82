"""Sessions: conversations, their history and their short-term window."""
