"""Galleries by every transport: where a device takes its own from, and where it is published."""

from __future__ import annotations

from pathlib import Path

from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.errors import SnapshotError
from edge_reid.mqtt.broker import Broker
from edge_reid.signing.blobs import MAX_HEAD_BYTES
from edge_reid.signing.transport import PublicationSource
from edge_reid.transfer.folder import FolderSource
from edge_reid.transfer.https import HttpsSource
from edge_reid.transfer.layout import Layout
from edge_reid.transfer.mqtt import MqttSource, MqttTarget
from edge_reid.wire.topics import GALLERY_HEAD

GALLERY = Layout(
    noun="gallery",
    section="gallery_sync",
    republish="publish the gallery again (--again)",
    error=SnapshotError,
    max_head_bytes=MAX_HEAD_BYTES,
    is_chunked=True,
)


def open_gallery_source(sync: GallerySyncSettings, settings: AgentSettings) -> PublicationSource:
    """The source that the settings name. It need not be there yet.

    Raises:
        ConfigError: a file that they name cannot be read.
    """
    if sync.source == "mqtt":
        broker = Broker.from_settings(settings.mqtt)
        return gallery_from_broker(broker, settings.mqtt.root, settings.site, repeat_s=sync.poll_s)
    if sync.source.startswith("https://"):
        return HttpsSource(sync.source, GALLERY, sync.ca_file, poll_s=sync.poll_s)
    return FolderSource(Path(sync.source), GALLERY, poll_s=sync.poll_s)


def gallery_from_broker(broker: Broker, root: str, site: str, *, repeat_s: float) -> MqttSource:
    """A site's gallery, as retained messages."""
    return MqttSource(broker, GALLERY_HEAD.name(root, site), GALLERY, repeat_s=repeat_s)


def gallery_at_broker(broker: Broker, root: str, site: str) -> MqttTarget:
    """A site's gallery, published as retained messages. `with` connects."""
    return MqttTarget(broker, GALLERY_HEAD.name(root, site), GALLERY)
