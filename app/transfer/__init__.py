"""Export: a caller's memory as a file."""
