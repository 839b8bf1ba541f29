"""Where a device takes its gallery from: the broker, a web server, or a folder such as a stick's.

Nothing here is trusted: who asks checks signature and contents. What is checked here is only that
no more is read than may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from edge_reid.core.config import AgentSettings, GallerySyncSettings
from edge_reid.mqtt.broker import Broker
from edge_reid.signing.blobs import BlobRef
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.https import HttpsSource
from edge_reid.transfer.mqtt import MqttSource


class GallerySource(Protocol):
    """Where heads and blobs come from. Each method raises EdgeReidError when it is not there."""

    def news(self, timeout_s: float) -> bytes | None:
        """The newest head: when it changes, and again now and then. None: not within the time."""

    def hasten(self) -> None:
        """Have the next `news` look at once; from any thread."""

    def fetch(self, refs: Sequence[BlobRef]) -> Iterator[tuple[BlobRef, bytes]]:
        """Blobs as they arrive, in any order, each with the hash it should have."""

    def close(self) -> None:
        """Let go of connections."""


def open_gallery_source(sync: GallerySyncSettings, settings: AgentSettings) -> GallerySource:
    """The source that the settings name. It need not be there yet.

    Raises:
        ConfigError: a file that they name cannot be read.
    """
    if sync.source == "mqtt":
        broker = Broker.from_settings(settings.mqtt)
        return MqttSource(broker, settings.mqtt.root, settings.site, repeat_s=sync.poll_s)
    if sync.source.startswith("https://"):
        return HttpsSource(sync.source, sync.ca_file, poll_s=sync.poll_s)
    return FolderSource(Path(sync.source), poll_s=sync.poll_s)
