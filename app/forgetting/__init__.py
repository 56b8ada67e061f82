"""Forgetting: deletes of sessions and users, removals for good, restores, what changed in a period, and the purge."""
