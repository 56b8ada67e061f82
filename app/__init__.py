"""Remembr: a self-hosted memory service for AI agents, on Elasticsearch."""

__version__ = "0.1.0"
