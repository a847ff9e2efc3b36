"""Ningbo 甬行码 and its paper pass 甬行证, connected by its scheme alone."""
