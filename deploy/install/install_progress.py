"""What a person sees while a device is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WIDTH = 30


class Steps:
    """Lines on standard error; a bar where there is a terminal to draw it on."""

    def __init__(self) -> None:
        self._draws = sys.stderr.isatty()

    def say(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Draws a bar while the block runs; the function it gives is told what has been done."""
        done = 0

        def passed(more: int) -> None:
            nonlocal done
            done += more
            self._draw(what, min(1.0, done / max(1, total)))

        self.say(what) if not self._draws else passed(0)
        yield passed
        if self._draws:
            sys.stderr.write("\n")

    def _draw(self, what: str, share: float) -> None:
        if self._draws:
            full = round(share * WIDTH)
            bar = "█" * full + "·" * (WIDTH - full)
            sys.stderr.write(f"\r{what:<24} {bar} {share:4.0%}")
            sys.stderr.flush()
