"""The service manager's end of the socket that agents report to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STARTING_S = 60.0


class Listener:
    """The service manager's end: what was said, and when."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path) if not str(path).startswith("@") else "\0" + str(path)[1:])

    def hear(self, timeout_s: float) -> str:
        """The next message; empty when nobody speaks."""
        self._socket.settimeout(timeout_s)
        with suppress(TimeoutError):
            return self._socket.recv(4096).decode()
        return ""

    def hear_until(self, words: str, within_s: float = STARTING_S) -> list[str]:
        heard: list[str] = []
        deadline_s = time.monotonic() + within_s
        while not heard or words not in heard[-1]:
            assert time.monotonic() < deadline_s, f"never heard {words!r}, only {heard}"
            heard.append(self.hear(1.0))
        return heard

    def longest_silence_s(self, during_s: float) -> float:
        began_s = last_s = time.monotonic()
        longest_s = 0.0
        while (now_s := time.monotonic()) < began_s + during_s:
            if "WATCHDOG=1" in self.hear(0.1):
                longest_s, last_s = max(longest_s, now_s - last_s), now_s
        return max(longest_s, now_s - last_s)

    @contextmanager
    def overhearing(self) -> Iterator[list[str]]:
        """All that is said meanwhile, which an agent else waits for somebody to take."""
        heard: list[str] = []
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                heard.extend(filter(None, [self.hear(0.1)]))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield heard
        ended.set()
        thread.join()
