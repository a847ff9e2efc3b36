"""Migrations of the issuer's database; run by :mod:`gateway.issuer.store.migrate`."""
