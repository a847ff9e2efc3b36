"""Yiwu market pass: entry or no entry, never a colour."""
