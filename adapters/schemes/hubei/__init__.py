"""Hubei 湖北健康码, connected by its scheme alone."""
