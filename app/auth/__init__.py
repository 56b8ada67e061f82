"""Organisations, users, tokens and API keys."""
