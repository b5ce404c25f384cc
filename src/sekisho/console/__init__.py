"""The console: the bank's own people, with a certificate of their own and a PIN."""
