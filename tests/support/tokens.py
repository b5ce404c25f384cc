"""Tokens for the tests: SoftHSM 2, and a TPM 2.0 in software (swtpm) behind tpm2-pkcs11."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.edge import free_port

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
TPM2_PKCS11 = "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1"
PIN = "123456"
SO_PIN = "87654321"


def run(*argv: str, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=os.environ | env, check=False)
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
    return done


@dataclass
class SoftHsm:
    """One token of SoftHSM in a folder."""

    folder: Path
    label: str = "office"
    module: str = SOFTHSM

    def __post_init__(self) -> None:
        (self.folder / "tokens").mkdir(parents=True)
        conf = f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        (self.folder / "softhsm2.conf").write_text(conf)
        self.add_token(self.label)

    def add_token(self, label: str) -> None:
        pins = ("--so-pin", SO_PIN, "--pin", PIN)
        run("softhsm2-util", "--init-token", "--free", "--label", label, *pins, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    @property
    def store(self) -> str:
        return f"pkcs11:{self.module}:{self.label}"

    def tool(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run OpenSC's pkcs11-tool, logged in."""
        return run(
            *("pkcs11-tool", "--module", self.module, "--token-label", self.label, "--login", "--pin", PIN, *arguments),
            env=self.environment,
            check=check,
        )


# tpm2_ptool's programs leave objects behind, and swtpm has three places for them and nobody who manages them.
FLUSHING = """\
#!/bin/sh
"/usr/bin/$(basename "$0")" "$@"; code=$?
/usr/bin/tpm2_flushcontext -t >/dev/null 2>&1
exit $code
"""


class Tpm:
    """A TPM in software with one token, made by tpm2_ptool."""

    module = TPM2_PKCS11
    label = "laptop"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "store", "bin"):
            (folder / name).mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def environment(self) -> dict[str, str]:
        tcti = f"swtpm:port={self._port}"
        return {
            "TPM2TOOLS_TCTI": tcti,
            "TPM2_PKCS11_TCTI": tcti,
            "TPM2_PKCS11_STORE": str(self.folder / "store"),
            "TPM2_PKCS11_LOG_LEVEL": "0",
            "TSS2_LOG": "all+NONE",
        }

    @property
    def store(self) -> str:
        return f"pkcs11:{self.module}:{self.label}"

    def __enter__(self) -> Self:
        self._start()
        wrapper = self.folder / "bin/flushing"
        wrapper.write_text(FLUSHING)
        wrapper.chmod(0o755)
        for program in Path("/usr/bin").glob("tpm2_*"):
            if program.name != "tpm2_ptool":
                (self.folder / "bin" / program.name).symlink_to(wrapper)
        self.ptool("init")
        self.ptool("addtoken", "--pid=1", f"--label={self.label}", f"--sopin={SO_PIN}", f"--userpin={PIN}")
        return self

    def _start(self) -> None:
        # The TCTI expects the control port right behind the other one.
        for _ in range(20):
            self._port = free_port()
            self._process = subprocess.Popen(
                [
                    *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}/state"),
                    *("--server", f"type=tcp,port={self._port}", "--ctrl", f"type=tcp,port={self._port + 1}"),
                    *("--flags", "not-need-init,startup-clear"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(100):
                if run("tpm2_getcap", "properties-fixed", env=self.environment, check=False).returncode == 0:
                    return
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
        raise AssertionError("swtpm did not start")

    def ptool(self, command: str, *arguments: str) -> None:
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        run("tpm2_ptool", command, "--path", f"{self.folder}/store", *arguments, env=self.environment | {"PATH": path})

    def flush(self) -> None:
        """Empty the TPM's places for objects, as a resource manager does between two programs."""
        run("tpm2_flushcontext", "-t", env=self.environment)

    def lock(self) -> None:
        """Bring the TPM into the lockout that too many wrong authorizations bring."""
        run("tpm2_dictionarylockout", "--setup-parameters", "--max-tries=1", env=self.environment)
        # A wrong PIN counts once, and once is too often now.
        run(
            *("pkcs11-tool", "--module", self.module, "--token-label", self.label, "--login", "--pin", "000000", "-O"),
            env=self.environment,
            check=False,
        )
        self.flush()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
