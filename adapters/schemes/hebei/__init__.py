"""Hebei health code, read together with the reports of every province."""
