"""What connects cities: the adapter SDK, the schemes, and reference city platforms."""
