"""A page in headless Chromium, driven over its debugging protocol."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page; ``faults`` has what it wrote to its console as errors, and its exceptions."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.faults: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for data in self._socket:
            message = json.loads(data)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif message["method"] == "Runtime.exceptionThrown":
                self.faults.append(message["params"]["exceptionDetails"]["exception"]["description"])
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.faults.append(f"{message['params']['entry']['text']} {message['params']['entry'].get('url')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, 20)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def wait_for(self, expression: str, timeout_s: float = 15.0) -> None:
        """Wait until the expression is true in the page."""
        deadline = time.monotonic() + timeout_s
        while not await self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                text = await self.value("document.body?.innerText")
                raise AssertionError(f"never came true: {expression}\nfaults: {self.faults}\npage: {text}")
            await asyncio.sleep(0.05)

    async def text(self, selector: str) -> str:
        return str(await self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def look(self, width: int, height: int, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[Page]:
    """A fresh page of a fresh browser, whose profile is in ``folder``."""
    program = find()
    assert program is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]
    log = (folder / "chromium.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        program,
        *options,
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        announced = folder / "DevToolsActivePort"
        async with asyncio.timeout(30):
            while not announced.is_file() or not announced.read_text():  # noqa: ASYNC110 - a file of another process
                await asyncio.sleep(0.05)
        port = announced.read_text().split()[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            targets = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
        async with connect(address, max_size=None, proxy=None, compression=None) as socket:
            yield Page(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        log.close()
