"""A real Chromium, spoken to over its debugging pipe: no driver and no library is needed."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from support.requirements import absent

NAMES = ("chromium", "google-chrome", "chrome")
_ANSWER_S = 30.0


class Browser:
    """One window of one page; use it as a context manager.

    Args:
        profile: an empty folder.
        width_px, height_px: of the window.
        is_dark: what the user prefers.
    """

    def __init__(
        self, profile: Path, *, width_px: int = 1280, height_px: int = 900, is_dark: bool = False
    ) -> None:
        program = next(filter(None, map(shutil.which, NAMES)), None)
        if program is None:
            absent("chromium (Debian: apt install chromium)")
        self.said: list[str] = []
        """What the page said on its console, and what went wrong in it."""
        self._numbers = itertools.count(1)
        ours_in, self._in = os.pipe()
        self._out, ours_out = os.pipe()
        flags = "--headless=new --no-sandbox --disable-gpu --remote-debugging-pipe"
        # the browser reads from 3 and writes to 4
        script = f'exec 3<&{ours_in} 4>&{ours_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *flags.split(), f"--user-data-dir={profile}"],
            pass_fds=(ours_in, ours_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours_in)
        os.close(ours_out)
        os.set_blocking(self._out, False)
        self._heard = b""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")
        size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, url: str) -> None:
        """Go to a page; it may go on loading."""
        self._ask("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 40) -> Any:
        """The value of an expression, once it is true."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := self._evaluated_unless_it_leaves(script)):
            assert time.monotonic() < deadline_s, f"never true: {script}"
            time.sleep(0.1)
        return value

    def _evaluated_unless_it_leaves(self, script: str) -> Any:
        """None while another page takes the place of this one."""
        try:
            return self.evaluate(script)
        except AssertionError as error:
            if "navigated or closed" not in str(error):
                raise
            return None

    def press(self, key: str) -> None:
        """A key, such as `Tab`."""
        code = {"Tab": 9, "Enter": 13, "ArrowRight": 39, "ArrowDown": 40}[key]
        text = {"Enter": "\r"}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            self._ask("Input.dispatchKeyEvent", type=kind, **named, text=text)

    def type(self, text: str) -> None:
        """Text, into what has the focus."""
        self._ask("Input.insertText", text=text)

    def choose_file(self, selector: str, path: Path) -> None:
        """A file, for a field of a form."""
        script = f"document.querySelector({json.dumps(selector)})"
        field = self._ask("Runtime.evaluate", expression=script)["result"]["objectId"]
        self._ask("DOM.setFileInputFiles", objectId=field, files=[str(path)])

    def screenshot(self, path: Path) -> None:
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if session := getattr(self, "_session", None):
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        deadline_s = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline_s:
            answer = self._next()
            if answer is None:
                time.sleep(0.01)
            elif answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            else:
                self._note(answer)
        raise AssertionError(f"the browser has not answered {method}")

    def _next(self) -> dict[str, Any] | None:
        while b"\0" not in self._heard:
            try:
                part = os.read(self._out, 1 << 20)
            except BlockingIOError:
                return None
            assert part, "the browser has ended"
            self._heard += part
        whole, _, self._heard = self._heard.partition(b"\0")
        return json.loads(whole)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(params["args"]))
        elif event.get("method") == "Log.entryAdded":
            self.said.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
