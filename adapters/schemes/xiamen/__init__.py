"""Xiamen 厦门健康码: green, orange and red until the province's three colours."""
