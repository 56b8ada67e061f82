"""Background work, run by arq: what is due is found in Elasticsearch, Redis only nudges."""
