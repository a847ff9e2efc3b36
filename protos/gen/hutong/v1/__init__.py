"""Generated package ``hutong.v1``: edit the schema, not this."""
