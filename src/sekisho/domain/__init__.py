"""Rules and values. No I/O, and nothing but the standard library."""
