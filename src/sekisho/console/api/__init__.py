"""`/api/v1`: what the bank's own systems ask Sekisho, with a certificate and in JSON."""
