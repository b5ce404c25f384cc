"""The wheel works without the repository: templates, words, static files and migrations are in it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.est_client import curl
from tests.support.served import ROOT, Served, free_port_base

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def run(*argv: str, cwd: Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_demo_from_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), cwd=ROOT)
    (wheel,) = tmp_path.glob("sekisho-*.whl")
    installed = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(wheel), cwd=tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.chdir(tmp_path)
    where = [sys.executable, "-c", "import sekisho; print(sekisho.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, env=os.environ).stdout
    assert found.startswith(str(installed)), "the test would have looked at the repository"
    base = free_port_base()
    argv = [sys.executable, "-m", "sekisho", "demo", "--data-dir", str(tmp_path / "data"), "--port-base", str(base)]
    served = Served(tmp_path / "data", base, argv=[*argv, "--json"], cwd=tmp_path)
    served.start()
    try:
        for path in ("/", "/acquire/user", "/static/base.css", "/static/acquire/page.js"):
            assert curl(served, served.info["urls"]["public"] + path).status == 200
    finally:
        served.stop()
