"""Everything that speaks to Elasticsearch. Stores build on it; nothing in here knows a slice."""
