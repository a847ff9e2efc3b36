"""Xi'an 一码通, whose QR text a phone keeps for an hour."""
