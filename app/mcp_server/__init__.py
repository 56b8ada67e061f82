"""`remembr-mcp`: memory as tools and resources of the Model Context Protocol, in the scope of an API key."""
