"""A screen without a monitor: Xvfb, and what a person does on it, through xdotool."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Self

PATIENCE_S = 40


class Screen:
    """One X display; `display` is its name."""

    def __enter__(self) -> Self:
        read, write = os.pipe()
        argv = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        self._process = subprocess.Popen(argv, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as told:
            number = told.readline().strip()
        assert number, "Xvfb did not start"
        self.display = f":{number}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def tool(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["xdotool", *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=os.environ | {"DISPLAY": self.display},
            check=False,
        )
        assert done.returncode == 0 or not check, f"xdotool {arguments}: {done.stderr}"
        return done.stdout

    def titles(self) -> dict[str, str]:
        """Return the names of the windows that are seen, by id."""
        found = self.tool("search", "--onlyvisible", "--name", ".+", check=False).split()
        return {window: self.tool("getwindowname", window, check=False).strip() for window in found}

    def window(self, title: str) -> str:
        """Wait for a window whose name fits, and return its id."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for window, name in self.titles().items():
                if re.search(title, name):
                    return window
            time.sleep(0.1)
        raise AssertionError(f"no window {title!r}; there are {self.titles()}")

    def type_into(self, window: str, text: str) -> None:
        """Give a window the keyboard, type and press Return."""
        self.tool("windowfocus", "--sync", window)
        self.tool("type", "--delay", "30", text)
        self.tool("key", "Return")
