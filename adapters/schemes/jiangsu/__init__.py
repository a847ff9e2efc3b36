"""Jiangsu 苏康码, connected by its scheme alone."""
