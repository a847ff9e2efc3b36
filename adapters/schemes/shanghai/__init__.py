"""Shanghai 随申码, whose QR text leads to a person and to no colour."""
