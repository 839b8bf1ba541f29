"""The demo's clip as a live camera, over and over, watched by an agent with its page."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
from support import campus, mjpeg_camera
from support.mjpeg_camera import MjpegCamera

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.observers import Observer
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.web_settings import WEB_LISTEN
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image
from edge_reid.web.live_page import LivePage

FPS = 10.0


class ClipPictures(Sequence[Image]):
    """All pictures of the clip, decoded as they are asked for, one after the other."""

    def __init__(self) -> None:
        self._capture = cv2.VideoCapture(str(campus.CLIP))
        self._next = 0
        self._lock = threading.Lock()  # a decoder that comes again has a thread of its own

    def __len__(self) -> int:
        return campus.FRAMES

    @overload
    def __getitem__(self, number: int) -> Image: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Image]: ...

    def __getitem__(self, number: int | slice) -> Image | Sequence[Image]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        with self._lock:
            if number != self._next:
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            self._next = number + 1
            return to_rgb(self._capture.read()[1])


@dataclass(frozen=True)
class LiveDemo:
    """An agent that is about to watch the clip."""

    settings: AgentSettings
    page: LivePage

    def run(self, *observers: Observer) -> None:
        """Until Ctrl-C."""
        run_agent(self.settings, outputs=Outputs(), observers=[self.page, *observers])


@contextmanager
def live_demo(
    gallery: Path, broker_url: str | None = None, listen: str = WEB_LISTEN, *, fps: float = FPS
) -> Iterator[LiveDemo]:
    """A camera that shows the clip, and a page that waits for its agent.

    Args:
        gallery: who is enrolled.
        broker_url: None: events go nowhere.
        listen: of the page.
        fps: of the camera; less than the clip's is slow motion.

    Raises:
        UsageError: nothing can listen there.
    """
    mjpeg_camera.PERIOD_S = 1 / fps
    with MjpegCamera(ClipPictures()) as camera:
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "agent": "laptop",
                "gallery": gallery,
                "cameras": {"gate": {"source": {"uri": camera.url}}},
                "mqtt": {"url": broker_url},
                "web": {"listen": listen},
            }
        )
        assert settings.web is not None
        with LivePage(settings, settings.web) as page:
            yield LiveDemo(settings, page)
