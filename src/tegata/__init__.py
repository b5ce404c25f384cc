"""Tegata (手形, the pass): the desktop agent that makes the key on this computer and keeps it there."""

__version__ = "0.1.0"
