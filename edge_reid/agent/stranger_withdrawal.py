"""Takes back what a device has told of strangers, once it is not to share them any more."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from edge_reid.agent.uplink import Uplink
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.errors import EdgeReidError, GalleryError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.delivery.link_state import Link
from edge_reid.mqtt.backoff import RETRY_S, Backoff
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import connect
from edge_reid.mqtt.retained import clear_topics, read_by_wildcard
from edge_reid.storage.quarantine import remove
from edge_reid.strangers.heard_purge import purge_others
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.topics import NOBODYS_NAME, STRANGER

LOOK_S = 1.0
FAREWELL_S = 2.0

_log = logging.getLogger(__name__)


class StrangerWithdrawal:
    """A thread that ends when nothing of ours lies at the broker. `with` starts and stops it.

    The file of what others have told says that there may be something: it is emptied at once, and
    deleted at the end; where the broker does not let that be seen, never.
    """

    def __init__(self, settings: AgentSettings, uplink: Uplink) -> None:
        self._settings = settings
        self._uplink = uplink
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="withdrawn strangers", daemon=True)

    @classmethod
    def start(
        cls,
        settings: AgentSettings,
        manifest: EmbeddingManifest,
        uplink: Uplink | None,
        stack: ExitStack,
    ) -> None:
        """Unless nothing was ever shared. A file that fails is said, and left to the next start."""
        path = settings.heard_strangers_path
        keep_s = (settings.strangers or StrangerSettings()).keep_s
        purge_others(path, time.time(), keep_s)
        if not path.exists():
            return
        try:
            _empty(path, manifest)
        except (GalleryError, OSError) as error:  # costs names, never events
            _log.warning(
                "strangers that this device has shared: %s; they are taken back at the next start",
                error,
            )
            return
        if uplink:
            stack.enter_context(cls(settings, uplink))

    def __enter__(self) -> StrangerWithdrawal:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(FAREWELL_S)

    def _run(self) -> None:
        backoff = Backoff(*RETRY_S)
        while not self._stopping.wait(LOOK_S):
            began_s = time.monotonic()
            try:
                if self._uplink.publisher.state.link is Link.ONLINE and self._withdraw():
                    return
            except (EdgeReidError, OSError) as error:
                _log.warning("strangers that this device has shared: %s; trying again", error)
                self._stopping.wait(backoff.pause_s(lasted_s=time.monotonic() - began_s))

    def _withdraw(self) -> bool:
        """False: there may be more that could be taken back now."""
        address = self._uplink.address
        ours = partial(STRANGER.name, address.root, address.site, agent=address.agent)
        connection = connect(Broker.from_settings(self._settings.mqtt))
        try:
            found = read_by_wildcard(
                connection,
                [STRANGER.filter(address.root, address.site, agent=address.agent)],
                ours(stranger=NOBODYS_NAME),
            )
            if found is None:
                topics = [ours(stranger=name) for name in self._known_names()]
            else:
                topics = [message.topic for message in found.messages if message.body]
            clear_topics(connection, topics)
            connection.close()
        finally:
            connection.abort()
        if found is None:
            _log.warning(
                "strangers that this device has shared: the broker shows nobody what lies there, as"
                " RabbitMQ does; %d that are known here are taken back, and others may lie there"
                " still: see what is retained below %s in its own files; tried again at the next"
                " start",
                len(topics),
                ours(stranger=""),
            )
            return True
        _log.info("strangers are not shared any more: %d taken back", len(topics))
        if found.is_whole:
            remove(self._settings.heard_strangers_path)
        return found.is_whole

    def _known_names(self) -> list[str]:
        if not self._settings.strangers_path.exists():
            return []
        with StrangerStore.open_to_read(self._settings.strangers_path) as own:
            return [stranger.name for stranger in own.strangers()]


def _empty(path: Path, manifest: EmbeddingManifest) -> None:
    with HeardStrangerStore.open_or_make(
        path, model_id=manifest.model_id, dimension=manifest.dimension
    ) as heard:
        heard.erase(None, time.time())
