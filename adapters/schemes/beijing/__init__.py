"""Beijing 健康宝, which speaks in words."""
