"""Generated package ``hutong``: edit the schema, not this."""
