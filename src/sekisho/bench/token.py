"""A CA of the bench's own whose keys are in a token of SoftHSM 2, to be asked instead of the bank's."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sekisho.cli import installation, running
from sekisho.settings import CaSettings, TokenSettings

if TYPE_CHECKING:
    from sekisho.settings import Settings

_MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
# As many sessions as are of use to one CA.
_SESSIONS = 2


def available() -> bool:
    """Tell whether SoftHSM 2 is installed."""
    return _MODULE.exists() and shutil.which("softhsm2-util") is not None


def make_twin(settings: Settings, folder: Path) -> Settings:
    """Make a CA in a token for the bank of `settings`, and return the settings that its process runs with.

    The tokens of all banks of a bench lie beside the banks, each with its bank's name: SoftHSM finds them through the
    environment of this process, which those that it starts have as well, and that names one place.
    """
    bank = folder.parent
    tokens, configuration = bank.parent / "tokens", bank.parent / "softhsm2.conf"
    tokens.mkdir(exist_ok=True)
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    folder.mkdir()
    pin, pin_file = secrets.token_hex(8), folder / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(pin)
    secret = ["--pin", pin, "--so-pin", secrets.token_hex(8)]
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", bank.name, *secret],  # noqa: S607 - of Debian's package
        check=True,
        capture_output=True,
    )
    token = TokenSettings(module=_MODULE, label=bank.name, pin_file=pin_file, processes=_SESSIONS)
    twin = settings.model_copy(update={"data_dir": folder / "ca-data", "ca": CaSettings(token=token)})
    twin.data_dir.mkdir(mode=0o700)
    installation.make_ca(twin)
    running.make_run_folder(twin)
    twin.save()
    return twin
