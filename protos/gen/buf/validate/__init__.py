"""Generated package ``buf.validate``: edit the schema, not this."""
