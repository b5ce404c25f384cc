"""Reads printed pages with poppler and ZXing, which share no code with what set them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import zxingcpp

if TYPE_CHECKING:
    from pathlib import Path


class Paper:
    """A PDF in a file, as other programs read it."""

    def __init__(self, path: Path, pdf: bytes) -> None:
        path.write_bytes(pdf)
        self._path = path

    def facts(self) -> dict[str, str]:
        """Return what pdfinfo tells, by its own names."""
        lines = self._run("pdfinfo").decode().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def fonts(self) -> list[list[str]]:
        """Return a row of pdffonts for each font: name, type, encoding, emb, sub, uni, object, ID."""
        return [line.split() for line in self._run("pdffonts").decode().splitlines()[2:]]

    def text(self) -> str:
        """Return all of its text in the order it was set, without blanks, since lines break where they will."""
        return "".join(self._run("pdftotext", "-raw").decode().split())

    def codes(self) -> list[str]:
        """Return what its barcodes say."""
        image = self._run("pdftoppm", "-gray", "-r", "120", "-singlefile")
        _, size, _, pixels = image.split(b"\n", 3)  # a PGM: P5, width and height, the highest value
        width, height = map(int, size.split())
        return [code.text for code in zxingcpp.read_barcodes(memoryview(pixels).cast("B", (height, width)))]

    def _run(self, program: str, *arguments: str) -> bytes:
        output = ["-"] if program == "pdftotext" else []
        command = [program, *arguments, str(self._path), *output]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
