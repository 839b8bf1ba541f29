"""Ctrl-C and SIGTERM, which wait while a frame is in hand.

Python raises at whatever instruction it is at. Between the decision about a track and its event
in the outbox, that would lose the event and still tell the track's end later.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_SAME_WISH_S = 0.2
"""`timeout` signals its child and then the child's group, and who passes Ctrl-C on repeats what the
terminal has sent: a signal so soon after another one is the same wish."""


class StopSignals:
    """Turns SIGINT into KeyboardInterrupt and SIGTERM into SystemExit, inside its `with` block.

    SIGTERM so unwinds like Ctrl-C, and systemd's stop loses nothing. It leaves with 0: whoever is
    told to stop and does has not failed. Main thread only, as Python's signals are.
    """

    def __init__(self) -> None:
        self._holding = False
        self._pending: int | None = None
        self._has_raised = False
        self._last_s = -math.inf

    def __enter__(self) -> StopSignals:
        self._before = {
            number: signal.signal(number, self._arrived)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Whoever interrupts waits for the end of this block; a second time, nobody waits, be it in
        this block or in a later one.

        Raises:
            KeyboardInterrupt, SystemExit: at the end of the block, if it was asked for meanwhile.
        """
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        number, self._pending = self._pending, None
        if number is not None:
            raise self._unwinding(number)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        last_s, self._last_s = self._last_s, time.monotonic()
        if self._last_s - last_s < _SAME_WISH_S:
            return
        if self._holding and self._pending is None and not self._has_raised:
            self._pending = number
            return
        self._pending = None
        raise self._unwinding(number)

    def _unwinding(self, number: int) -> BaseException:
        self._has_raised = True
        return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(0)
