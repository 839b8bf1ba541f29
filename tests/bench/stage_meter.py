"""Processor time by stage: each stage without those that run inside it, each thread for itself."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StageMeter:
    """Adds up what wrapped functions take of the processor."""

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self._inner = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Meter the body of a with statement."""
        outer_s: float = getattr(self._inner, "cpu_s", 0.0)
        self._inner.cpu_s = 0.0
        began_s = time.thread_time()
        try:
            yield
        finally:
            took_s = time.thread_time() - began_s
            self.cpu_s[name] += took_s - self._inner.cpu_s
            self._inner.cpu_s = outer_s + took_s

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Meter every call of a function of a class or module."""
        inner = getattr(owner, attribute)

        def metered(*args: Any, **more: Any) -> Any:
            with self.stage(name):
                return inner(*args, **more)

        setattr(owner, attribute, metered)

    def wrap_generator(self, owner: Any, attribute: str, name: str) -> None:
        """Meter what it takes to get each value of a generator."""
        inner = getattr(owner, attribute)

        def metered(*args: Any, **more: Any) -> Iterator[Any]:
            values = inner(*args, **more)
            while True:
                with self.stage(name):
                    value = next(values, None)
                if value is None:
                    return
                yield value

        setattr(owner, attribute, metered)
