"""Turn the screenshots of the walks over all pages into the pictures of docs/pages, small enough to be kept.

python -m tests.support.pictures SCREENSHOTS docs/pages
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from PIL import Image

_NAME = re.compile(r"(?P<page>.+)-(?P<lang>ja|en)-1280\.png")
_WIDTH = 720
_INDEX = """# Every page

What each page, and each state of one that is told apart, looks like, in Japanese and English, made smaller.
`make pictures` makes them anew from the walks that the tests take.
"""


def main(screenshots: Path, folder: Path) -> None:
    """Write the pictures and their index; what is no page any more goes."""
    for old in folder.glob("*/*.webp"):
        old.unlink()
    pages = set()
    for file in sorted(screenshots.iterdir()):
        if match := _NAME.fullmatch(file.name):
            pages.add(match["page"])
            to = folder / match["lang"] / f"{match['page']}.webp"
            to.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(file) as shot:
                size = (_WIDTH, round(shot.height * _WIDTH / shot.width))
                small = shot.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            small.save(to, "WEBP", quality=45, method=6)
    rows = "".join(
        f"\n## {page}\n\n![{page}, 日本語](ja/{page}.webp)\n![{page}, English](en/{page}.webp)\n"
        for page in sorted(pages)
    )
    (folder / "README.md").write_text(_INDEX + rows, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
