"""Scripts that are run by hand, from the project's folder."""
