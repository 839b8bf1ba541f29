"""Tells the other devices of a site of strangers, and hears of theirs, beside the frames.

A thread with a connection of its own, so that no event waits for it. While the agent is not online
under its name, be it that another agent has it, the thread is not there either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from edge_reid.agent.stranger_exchange import StrangerExchange
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.errors import BrokerError, EdgeReidError, GalleryError, UsageError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.delivery.link_state import Link
from edge_reid.mqtt.backoff import RETRY_S, Backoff
from edge_reid.mqtt.broker import Broker, login_files
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.heard_stranger import NOBODY, OtherPeople
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.payloads import StrangersState
from edge_reid.wire.topics import AGENT

LOOK_S = 1.0
"""Longest wait before looking whether we are online."""
STATE_INTERVAL_S = 5.0
"""Counts are told so often at most; what was erased, and what is wrong, at once."""
FAREWELL_S = 2.0
PAUSE_MAX_S = 30.0
"""Before another attempt: meanwhile nobody is forgotten."""
_NOT_YET = StrangersState(shared=0, heard=0, heard_from=0, refused=0, trouble=None, erased=())

_log = logging.getLogger(__name__)


def first_state(settings: AgentSettings, *, is_live: bool) -> StrangersState | None:
    """How an agent says that it shares before it has begun to, for its first last will; None where
    devices do not share, and for recordings: those give the same events in every run.
    """
    shares = settings.strangers is not None and settings.strangers.share
    return _NOT_YET if shares and is_live else None


class StrangerSharing:
    """Strangers of a device and of the others. `with` starts and stops it.

    Args:
        settings: of the agent.
        manifest: of its embedding model.
        uplink: says whether we are online, and tells how the sharing stands.
        broker: where the others are.
        key: ours, which signs.
        authority: of the site.
        clock: Unix seconds of the device.
    """

    def __init__(
        self,
        settings: AgentSettings,
        manifest: EmbeddingManifest,
        uplink: Uplink,
        *,
        broker: Broker,
        key: CertifiedKey,
        authority: CertificateAuthority,
        clock: Callable[[], float] = time.time,
    ) -> None:
        assert settings.strangers is not None, "asked by who makes it"  # noqa: S101
        self._settings = settings
        self._strangers: StrangerSettings = settings.strangers
        self._manifest = manifest
        self._uplink = uplink
        self._broker = broker
        self._key = key
        self._authority = authority
        self._clock = clock
        self._others = NOBODY  # another value takes its place, from the thread
        self._state = _NOT_YET  # as last told
        self._told_s = -STATE_INTERVAL_S
        self._backoff = Backoff(*RETRY_S)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared strangers", daemon=True)

    @classmethod
    def open(
        cls,
        settings: AgentSettings,
        manifest: EmbeddingManifest,
        uplink: Uplink | None,
        *,
        is_live: bool,
    ) -> StrangerSharing | None:
        """As the settings say, to be entered once there is a file of strangers; None as of
        `first_state`, which the uplink says already.

        Raises:
            UsageError: there is no certificate, or it is not this agent's.
        """
        if not (uplink and first_state(settings, is_live=is_live)):
            return None
        files = login_files(settings.mqtt)
        ca_file, cert_file, key_file = (files[it] for it in ("ca_file", "cert_file", "key_file"))
        if not (ca_file and cert_file and key_file):
            raise UsageError(
                "strangers.share: expected mqtt.ca_file, cert_file and key_file, by which devices "
                "know each other, got not all of them; certs.py makes them"
            )
        key, authority = CertifiedKey.read(cert_file, key_file), CertificateAuthority.read(ca_file)
        holder = key.holder
        if (holder.role, holder.name, holder.site) != (AGENT.role, settings.agent, settings.site):
            raise UsageError(
                f"strangers.share: expected the certificate of agent {settings.agent} of "
                f"{settings.site}, got that of {holder}; issue it: certs.py agent {settings.agent}"
            )
        broker = Broker.from_settings(settings.mqtt)
        return cls(settings, manifest, uplink, broker=broker, key=key, authority=authority)

    def __enter__(self) -> StrangerSharing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(FAREWELL_S)

    def others(self) -> OtherPeople:
        """Whom other devices have told of; from any thread."""
        return self._others

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._try_to_share()

    def _try_to_share(self) -> None:
        try:
            self._share()
        except Exception as error:  # files that fail; whatever it is costs names, never events
            self._note(error)
            self._stopping.wait(self._pause_s(0.0))

    @property
    def _is_online(self) -> bool:
        return self._uplink.publisher.state.link is Link.ONLINE

    def _share(self) -> None:
        with ExitStack() as files:
            own = files.enter_context(self._open_own())
            heard = files.enter_context(
                HeardStrangerStore.open_or_make(
                    self._settings.heard_strangers_path,
                    model_id=self._manifest.model_id,
                    dimension=self._manifest.dimension,
                )
            )
            exchange = StrangerExchange(
                self._uplink.address,
                self._settings.cameras.keys(),
                self._strangers,
                self._manifest,
                key=self._key,
                authority=self._authority,
                own=own,
                heard=heard,
                clock=self._clock,
            )
            while not self._stopping.is_set():
                if self._is_online:
                    self._connect_and_serve(exchange)
                else:  # people are forgotten in time all the same
                    exchange.look_after_files()
                    self._others = exchange.others
                    self._stopping.wait(LOOK_S)

    def _open_own(self) -> StrangerStore:
        """Who gives names has made the file, and is the only one who makes one.

        Raises:
            GalleryError: there is none, or it is of another model.
        """
        store = StrangerStore.open(self._settings.strangers_path, forgets=False)
        if store.model_id != self._manifest.model_id:
            store.close()
            raise GalleryError(
                f"strangers {store.path}: expected a file of model {self._manifest.model_id}, got "
                f"one of {store.model_id}; give all agents of this device one model"
            )
        return store

    def _connect_and_serve(self, exchange: StrangerExchange) -> None:
        began_s = time.monotonic()
        try:
            connection = connect(self._broker)
            try:
                self._serve(exchange, connection)
                connection.close()
            finally:
                connection.abort()
        except BrokerError as error:
            self._note(error)
            self._stopping.wait(self._pause_s(time.monotonic() - began_s))

    def _pause_s(self, lasted_s: float) -> float:
        return min(self._backoff.pause_s(lasted_s=lasted_s), PAUSE_MAX_S)

    @property
    def _goes_on(self) -> bool:
        return self._is_online and not self._stopping.is_set()

    def _serve(self, exchange: StrangerExchange, connection: Connection) -> None:
        """Until we are not online any more, or should begin anew."""
        exchange.begin(connection)
        while self._goes_on and exchange.turn(connection):
            self._others = exchange.others
            self._tell(exchange.state)

    def _note(self, error: Exception) -> None:
        is_bug = not isinstance(error, EdgeReidError)
        trouble = f"unexpected {type(error).__name__}: {error}" if is_bug else str(error)
        if trouble != self._state.trouble:
            _log.warning("sharing strangers: %s", trouble, exc_info=error if is_bug else None)
        self._tell(self._state.model_copy(update={"trouble": trouble}))

    def _tell(self, state: StrangersState) -> None:
        """Have the agent's status say how the sharing stands."""
        before, now_s = self._state, time.monotonic()
        is_news = (state.erased, state.trouble) != (before.erased, before.trouble)
        if state != before and (is_news or now_s >= self._told_s + STATE_INTERVAL_S):
            self._state, self._told_s = state, now_s
            self._uplink.publisher.show_strangers(state)
