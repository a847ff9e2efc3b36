"""Hutong (互通): a federated cross-region health-code interoperability gateway."""
