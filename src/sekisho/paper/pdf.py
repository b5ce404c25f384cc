"""What is wrong with a PDF that somebody sent: read by a child that can use up no more than it is given."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from sekisho.domain.scan import PdfProblem
from sekisho.paper.pdf_child import EXIT

if TYPE_CHECKING:
    from collections.abc import Sequence

# A scan takes half a second, most of it for starting; a machine that is busy is given time.
DEADLINE_S = 20.0
# The module alone, with nothing of the surroundings: no variable, no folder and no file is of use to whatever it reads.
_COMMAND = (sys.executable, "-I", "-m", "sekisho.paper.pdf_child")
# How the limits of memory and time end a process.
_COSTS = {-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS}


def read_pdf(content: bytes, *, command: Sequence[str] = _COMMAND, deadline_s: float = DEADLINE_S) -> PdfProblem | None:
    """Return what is wrong with it, or None; after `deadline_s` at the latest."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,
    )
    with child:
        try:
            child.communicate(content, timeout=deadline_s)
        except subprocess.TimeoutExpired:
            child.kill()
            return PdfProblem.COSTLY
    if child.returncode in _COSTS:
        return PdfProblem.COSTLY
    if child.returncode not in EXIT:
        raise RuntimeError(f"the reader of PDFs ended with {child.returncode}")
    return EXIT[child.returncode]
