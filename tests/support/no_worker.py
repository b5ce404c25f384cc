"""`sekisho serve --no-worker` of a data folder, which says on standard output when it is ready."""

from __future__ import annotations

import sys
from pathlib import Path

from sekisho import settings
from sekisho.cli import running

if __name__ == "__main__":
    running.serve(settings.load(Path(sys.argv[1])), lambda: print("{}", flush=True), behind=False)  # noqa: T201
