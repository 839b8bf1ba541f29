"""A camera with a large and a small stream of one scene, in step: at any moment both are at the
same picture, whoever connects when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from support.rtsp_camera import FPS, RtspCamera, Unit

from edge_reid.core.config.source_settings import SourceSettings


class TwinStreams(AbstractContextManager["TwinStreams"]):
    """Serves both for as long as its block lasts.

    Args:
        large: the pictures of the large stream, with a key picture now and then.
        small: those of the other, as many and at the same moments.
        login: `user:password` that both ask for.
        fps: pictures a second.
        late_s: by which the large stream is behind, as one that is encoded more slowly.
    """

    def __init__(
        self,
        large: Sequence[Unit],
        small: Sequence[Unit],
        *,
        login: str | None = None,
        fps: float = FPS,
        late_s: float = 0.0,
    ) -> None:
        self._fps = fps
        self._begin_s = time.monotonic()
        self._stack = ExitStack()
        options: dict[str, Any] = {"login": login, "pace_s": 1 / fps}
        self.large = RtspCamera(self._from_now_on(large, late_s), **options)
        self.small = RtspCamera(self._from_now_on(small, 0.0), **options)

    def __enter__(self) -> TwinStreams:
        self._stack.enter_context(self.large)
        self._stack.enter_context(self.small)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def settings(self, **more: object) -> SourceSettings:
        """Of a source that reads both."""
        given = {"uri": self.large.url, "detect_uri": self.small.url, "stall_timeout_s": 4.0}
        return SourceSettings.model_validate(given | more)

    def _from_now_on(self, units: Sequence[Unit], late_s: float) -> Callable[[int], Iterator[Unit]]:
        def play(_: int) -> Iterator[Unit]:
            """From the next picture on, at the moment at which it is due."""
            at = (time.monotonic() - self._begin_s - late_s) * self._fps
            number = max(0, int(at) + 1)
            time.sleep(max(0.0, (number - at) / self._fps))
            return self._again_and_again(units, number)

        return play

    def _again_and_again(self, units: Sequence[Unit], number: int) -> Iterator[Unit]:
        while True:
            yield units[number % len(units)]
            number += 1
