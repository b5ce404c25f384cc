"""The bench itself: that every line is measured, and that nothing of it stays behind. Not what the figures are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.served import ROOT, free_port_base

from sekisho.bench import bank, report, token
from sekisho.ca import child
from sekisho.cli import exit_codes
from sekisho.settings import on_localhost

if TYPE_CHECKING:
    import pytest


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sekisho", "bench", "--json", "--certificates", "500", "--lists", "500", *arguments]
    env = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=900, cwd=ROOT, env=env, check=False)


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_every_measure_against_its_limit_and_each_process_weighed(tmp_path: Path) -> None:
    temporary = Path(tempfile.mkdtemp())  # short, since the CA's socket lies in it
    written = tmp_path / "bench.json"
    done = bench(temporary, "--rounds", "1", "--seconds", "0.5", "--engines", "sqlite", "--write", str(written))
    result = result_of(done)
    measured = {(one["measure"], one["processes"], one["callers"]) for one in result["lines"]}
    served = [("logon", 8), ("logon", 64), ("EST enrollment", 8), ("EST renewal", 8), ("status page", 4)]
    served += [("OCSP, each signed", 32), ("OCSP, POST", 4), ("OCSP, GET", 4), ("OCSP, new connections", 4)]
    assert measured == {
        ("issuance", 1, 32),
        ("issuance in a token", 1, 32),
        *((name, workers, callers) for name, callers in served for workers in (1, 2)),
    }
    for one in result["lines"]:
        assert one["rate"] > 0
        assert one["ratio"] > 0
        assert 0 < one["p50_ms"] <= one["p99_ms"]
    assert {one["limit"] for one in result["limits"]} == {
        *("flushes", "mutual-TLS handshake", "raw ASGI hello", "build and sign", "argon2", "FastAPI hello"),
        *("software issuance", "plain ASGI hello", "openssl ocsp"),
    }
    assert {one["page"] for one in result["pages"]} >= {"overview", "search by name", "audit, a day far back"}
    for one in result["pages"]:
        assert 0 < one["p50_ms"] <= one["slowest_ms"], one
        assert (one["goal_ms"], one["first_ms"] > 0, one["ratio"] > 0) == (200, True, True), one
    (made,) = result["lists"]
    assert made["entries"] == 500
    assert min(made["database_s"], made["first_s"], made["made_s"], made["ca_mib"]) > 0
    with_two = next(one for one in result["memory"] if (one["workers"], one["when"]) == (2, "under load"))
    assert {what: len(processes) for what, processes in with_two["processes"].items()} == {
        "supervisor": 1,
        "worker": 2,
        "ca": 1,
    }
    assert json.loads(written.read_text("utf-8")) == result
    assert written.with_suffix(".md").read_text("utf-8") == report.page(result)
    temporary.rmdir()  # which takes an empty folder only


def test_where_the_time_of_one_logon_and_one_issuance_goes(tmp_path: Path) -> None:
    result = result_of(bench(tmp_path, "--only-profile", "--engines", "postgresql", "--certificates", "500,600"))
    *smaller, logon, issuance = result["profile"]
    assert [one["certificates"] for one in (*smaller, logon)] == [500, 500, 600], "each size has its own"
    parts_of_logon = {part["part"] for part in logon["parts"]}
    assert {"argon2", "SQL: SELECT certificates", "SQL: INSERT sessions", "COMMIT, flushed"} <= parts_of_logon
    parts_of_issuance = {part["part"] for part in issuance["parts"]}
    assert {
        "SQL: INSERT certificates",
        "SQL: INSERT audit + orders + unfinished_orders",
        "COMMIT, flushed",
    } <= parts_of_issuance
    for one in (logon, issuance):
        assert abs(sum(part["ms"] for part in one["parts"]) - one["ms"]) < 0.01 * one["ms"] + 0.01


def test_what_it_cannot_measure_is_a_usage_error(tmp_path: Path) -> None:
    for wrong in (["--engines", "oracle"], ["--certificates", "many"], ["--certificates", "3"], ["--lists", "many"]):
        assert bench(tmp_path, *wrong).returncode == exit_codes.USAGE
    refused = bench(tmp_path, "--rounds", "20")
    assert refused.returncode == exit_codes.USAGE
    assert "20 rounds need 1680 certificates or more" in refused.stderr


def test_one_that_is_stopped_leaves_nothing_behind() -> None:
    temporary = Path(tempfile.mkdtemp())
    argv = [sys.executable, "-m", "sekisho", "bench", "--engines", "sqlite", "--certificates", "500"]
    env = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
    ) as running:
        assert running.stderr is not None
        assert any("round 1" in line for line in running.stderr)
        running.terminate()
        running.communicate(timeout=180)
    assert running.returncode == 128 + signal.SIGTERM
    temporary.rmdir()  # which takes an empty folder only


def test_each_bank_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "")  # so that what the bench sets there ends with the test
    folder = Path(tempfile.mkdtemp())  # short, since the CA's socket lies in it
    try:
        twins = []
        for name in ("small", "large"):
            (folder / name).mkdir()
            settings = on_localhost(folder / name / "bank", bank.BANK.code, bank.BANK.name["en"], free_port_base())
            twins.append(token.make_twin(settings, folder / name / "token"))
        for twin in twins:
            with child.running(child.command(twin.data_dir)):
                assert twin.ca_socket.is_socket()
    finally:
        shutil.rmtree(folder)
