"""Jiangxi 赣通码 and the codes of its cities, connected by their scheme alone."""
