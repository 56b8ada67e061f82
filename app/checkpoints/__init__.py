"""Checkpoints: going back to what a session's window was."""
