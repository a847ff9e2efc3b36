"""Migrations of the store, run by :mod:`gateway.store.migrate`."""
