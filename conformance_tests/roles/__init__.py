"""What the suite does towards each role under test."""
