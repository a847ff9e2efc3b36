"""Guangzhou 穗康码, connected by its scheme alone."""
