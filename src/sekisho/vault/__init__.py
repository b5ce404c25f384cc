"""What keeps secrets that are not in the database: the pepper of the PINs and the key of the card tables."""
