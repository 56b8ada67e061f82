"""Index and component templates, as JSON files; README.md describes every field."""
