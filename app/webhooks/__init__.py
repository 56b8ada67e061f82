"""Webhooks: who wants to be told of what, and telling them, at least once."""
