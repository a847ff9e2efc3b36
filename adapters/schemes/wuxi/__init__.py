"""Wuxi 锡康码, connected by its scheme alone."""
