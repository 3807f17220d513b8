"""Drive a real headless browser over the DevTools protocol, without a package for it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

#: The browser, or ``None`` where none is installed.
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
TIMEOUT = 60


class Browser:
    """A headless browser with one page. Messages are JSON, each ended by a zero byte."""

    def __init__(self, profile: Path) -> None:
        commands, self.write_end = os.pipe()
        self.read_end, answers = os.pipe()
        # the browser reads descriptor 3 and writes descriptor 4; dash accepts only one digit here
        redirect = f'exec "$@" 3<&{commands} 4>&{answers}'
        command = [
            "bash",
            "-c",
            redirect,
            "bash",
            str(CHROMIUM),
            *OPTIONS,
            f"--user-data-dir={profile}",
        ]
        self.process = subprocess.Popen(
            [*command, "about:blank"], pass_fds=(commands, answers), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.session = b"", 0, ""
        #: Console errors and uncaught exceptions since the page was opened.
        self.errors: list[str] = []
        self.loaded = False
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        self.process.wait(TIMEOUT)
        os.close(self.write_end)
        os.close(self.read_end)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, page: Path, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """Show a page in a window of the given size, and wait until it has loaded."""
        self.errors, self.loaded = [], False
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        answer = self.send("Page.navigate", url=page.resolve().as_uri())
        assert "errorText" not in answer, answer
        while not self.loaded:
            self._next()

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page. Of a promise, wait for its value."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, such as "Escape" or "Tab"."""
        codes = {"Escape": 27, "Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def _next(self) -> dict[str, Any]:
        """The next message; console errors are kept."""
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self.buffer:
            assert time.monotonic() < end, "the browser does not answer"
            if select.select([self.read_end], [], [], 1)[0]:
                part = os.read(self.read_end, 1 << 16)
                assert part, "the browser has ended"
                self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, details: dict[str, Any]) -> None:
        self.loaded |= event == "Page.loadEventFired"
        failed = event == "Runtime.exceptionThrown" or (
            event == "Runtime.consoleAPICalled" and details["type"] in ("error", "assert")
        )
        if failed or (event == "Log.entryAdded" and details["entry"]["level"] == "error"):
            self.errors.append(json.dumps(details))
