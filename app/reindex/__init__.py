"""A new index in an old one's place, while reads and writes go on (docs/reindex.md)."""
