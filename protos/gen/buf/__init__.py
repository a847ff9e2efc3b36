"""Generated package ``buf``: edit the schema, not this."""
