"""Starts Debian's Firefox ESR for Playwright and stands between the two.

Playwright drives an unchanged Firefox by WebDriver BiDi, and at the start of each context sends
`emulation.setMediaFeaturesOverride`, whatever the options. Firefox ESR 153 does not know that command, and
Playwright then gives up. No test asks for media features, so this program answers it in Firefox's stead and
hands everything else on. Not needed any more once Debian's ESR knows the command.

Run as `python -m tests.browser.support.firefox_relay FIREFOX-ARGUMENTS`; ends when Firefox ends.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection
    from websockets.asyncio.server import ServerConnection

UNKNOWN = "emulation.setMediaFeaturesOverride"
ANNOUNCEMENT = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


async def _answers(firefox: Connection, playwright: Connection) -> None:
    with suppress(ConnectionClosed):
        async for message in firefox:
            await playwright.send(message)
    await playwright.close()


async def _relay(playwright: ServerConnection, address: str) -> None:
    path = playwright.request.path if playwright.request else ""
    # A picture of a page is larger than the library's default bound, and nobody here would answer pings
    # while the browser works.
    async with connect(address + path, max_size=None, compression=None, ping_interval=None) as firefox:
        answers = asyncio.create_task(_answers(firefox, playwright))
        with suppress(ConnectionClosed):
            async for message in playwright:
                command = json.loads(message)
                if command["method"] == UNKNOWN:
                    await playwright.send(json.dumps({"type": "success", "id": command["id"], "result": {}}))
                else:
                    await firefox.send(message)
        await firefox.close()
        await answers


async def main(arguments: list[str]) -> int:
    """Run Firefox with `arguments` and return its exit code."""
    firefox = await asyncio.create_subprocess_exec(
        "/usr/bin/firefox-esr", *arguments, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    address = asyncio.get_running_loop().create_future()

    async def relay(playwright: ServerConnection) -> None:
        await _relay(playwright, await address)

    async with serve(relay, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        while firefox.stderr and (line := await firefox.stderr.readline()):
            text = line.decode(errors="replace")
            if found := ANNOUNCEMENT.search(text):
                address.set_result(found[1])
                text = f"WebDriver BiDi listening on ws://127.0.0.1:{port}\n"
            sys.stderr.write(text)
            sys.stderr.flush()
        return await firefox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
