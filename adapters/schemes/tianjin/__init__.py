"""Tianjin 津心办 health code, whose middle colour is orange."""
