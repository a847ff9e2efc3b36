"""Guangdong 粤康码, connected by its scheme alone."""
