"""Anhui 安康码, connected by its scheme alone."""
