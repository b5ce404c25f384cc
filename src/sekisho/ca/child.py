"""Start the CA as a child, where nobody configured another, and start it again when it dies."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sekisho.ca.process import READY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger("sekisho.ca")
_STOP_S = 5.0
_PAUSE_S = 0.5


class CaDidNotStart(Exception):  # noqa: N818 - names what happened
    """The child ended before it was ready; it has said why on standard error."""


def command(data_dir: Path) -> list[str]:
    """Return how the CA of a data folder is started."""
    return [sys.executable, "-m", "sekisho", "ca", "--data-dir", str(data_dir)]


@contextmanager
def running(argv: Sequence[str]) -> Iterator[None]:
    """Keep the CA running while the block lasts. Raises `CaDidNotStart` where its first start fails."""
    child = _start(argv)
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(argv, child, stop), daemon=True, name="ca-watch")
    watch.start()
    try:
        yield
    finally:
        stop.set()
        watch.join()


def _watch(argv: Sequence[str], child: subprocess.Popen[bytes], stop: threading.Event) -> None:
    """Wait for the child's end or for `stop`. Orders that meet no CA wait meanwhile; nothing is lost."""
    while not stop.wait(_PAUSE_S):
        if child.poll() is None:
            continue
        log.error("the CA ended with %s and is started again", child.returncode)
        _close(child)
        try:
            child = _start(argv)
        except CaDidNotStart:
            log.error("the CA did not start")  # noqa: TRY400 - it has said why itself
        except OSError as full:
            log.error("the CA cannot be started: %s", full.strerror)  # noqa: TRY400 - the trace says no more
    _close(child)


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the child and wait until it answers.

    Its standard input is a pipe that only this process holds: when this
    process dies, however it dies, the child reads the end and goes as well.
    It has a session of its own, so that a Ctrl-C on the terminal reaches the
    parent alone, which stops it last.
    """
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    if child.stdout is None or child.stdout.readline() != READY:
        _close(child)
        raise CaDidNotStart
    return child


def _close(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
