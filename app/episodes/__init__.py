"""Episodes: what was said, stored, embedded, searched and forgotten."""
