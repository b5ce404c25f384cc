"""`tegata` that dies at a step that TEGATA_DIES_AT names, by SIGKILL, and leaves its name in a file.

With TEGATA_MEETS it does not die there, but a shell command is run: a fault
from outside at just that moment.

Steps are those that an enrolment reports, and `key-unlabelled`: NSS has
made the key and not given it its label yet.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tegata import enrolment
from tegata.cli import main
from tegata.stores import nss_library


def die(step: str) -> None:
    if step == os.environ.get("TEGATA_DIES_AT"):
        with Path(os.environ["TEGATA_DIED"]).open("w") as told:
            told.write(step)
            told.flush()
            os.fsync(told.fileno())
        fault = os.environ.get("TEGATA_MEETS")
        if fault is None:
            os.kill(os.getpid(), signal.SIGKILL)
        subprocess.run(["sh", "-c", str(fault)], check=True)


def install() -> None:
    bring = enrolment.bring
    label = nss_library.Nss.__getattr__

    def dying_bring(*arguments: Any, report: Any, **named: Any) -> Any:
        def reporting(step: str, **values: object) -> None:
            report(step, **values)
            die(step)

        return bring(*arguments, report=reporting, **named)

    def dying_label(nss: Any, name: str) -> Any:
        if name == "PK11_SetPrivateKeyNickname":
            die("key-unlabelled")
        return label(nss, name)

    nss_library.Nss.__getattr__ = dying_label  # type: ignore[method-assign]
    from tegata import agent

    agent.bring = dying_bring  # type: ignore[attr-defined]


if __name__ == "__main__":
    install()
    main(prog_name="tegata")
