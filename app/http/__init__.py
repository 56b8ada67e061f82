"""The HTTP side that all slices share: routes, bodies, answers, errors, authentication."""
