"""The log: lines on standard error."""

from __future__ import annotations

import logging
import sys


def start_log() -> None:
    """Start it, for this process."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("alembic", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
