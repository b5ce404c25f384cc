"""Sekisho (関所): decides which company computers may enter a bank's business internet banking."""
