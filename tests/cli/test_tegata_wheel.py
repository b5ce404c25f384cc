"""Tegata's wheel installs and runs without the repository and without Sekisho."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.served import ROOT, Served, free_port_base

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path / "data", free_port_base())
    one.start()
    yield one
    one.stop()


def run(*argv: str, cwd: Path, **more: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=cwd, check=False, env=more or None)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_acquisition_from_the_wheel(served: Served, tmp_path: Path) -> None:
    source = ROOT / "src/tegata"
    # The archive of the sources first, and the wheel from it, as it is by default.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(source), cwd=ROOT)
    (wheel,) = tmp_path.glob("tegata-*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in inside} == {"tegata", f"{wheel.name.split('-py3')[0]}.dist-info"}
    assert {f"tegata/{one}" for one in ("words.toml", "py.typed", "stores/nss.py")} <= set(inside)
    assert not [name for name in inside if "__pycache__" in name or name.endswith("pyproject.toml")]

    installed = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(wheel), cwd=tmp_path)
    run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv"), cwd=tmp_path)
    python = str(tmp_path / "venv/bin/python")
    # What Tegata needs comes from here; a path in PYTHONPATH brings no editable install with it.
    needs = next(path for path in sys.path if path.endswith("site-packages"))
    home = tmp_path / "home"
    home.mkdir()
    env = {"PYTHONPATH": f"{installed}:{needs}", "HOME": str(home), "LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin"}
    found = "import importlib.util, tegata; print(tegata.__file__, importlib.util.find_spec('sekisho'))"
    where, sekisho = run(python, "-c", found, cwd=tmp_path, **env).split()
    assert Path(where).is_relative_to(installed)
    assert sekisho == "None"

    user, contract = served.user("keiri02"), served.info["contract"]["contract_id"]
    argv = [python, "-m", "tegata", "acquire", "--url", served.info["urls"]["public"], "--bank", "9990"]
    argv += ["--contract", contract, "--user", "keiri02", "--ca", served.info["tls_ca"], "--pin-stdin"]
    typed = f"{user['user_pin']}\n{user['user_confirmation_pin']}\n"
    done = subprocess.run(
        argv, input=typed, capture_output=True, text=True, timeout=90, cwd=tmp_path, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The certificate has been installed" in done.stdout
