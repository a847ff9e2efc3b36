"""Vectors: worlds of the role ``verifier``, the same on every machine and at every run.

Keys come from names (``keys``), signatures are those of RFC 6979, and every world says
what the time is. So a request can be written to disk once and read in any language.
"""
