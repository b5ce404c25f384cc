"""The operators' command line."""

from __future__ import annotations

from sekisho.cli.main import main

__all__ = ["main"]
