"""What the devices of a site say of strangers, over one connection after another.

In a turn: orders to erase come first, then whoever is due is forgotten, then what others say, then
which names are one person's, then what we have to say.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from edge_reid.agent.incoming_strangers import ComparedWith, IncomingStrangers
from edge_reid.agent.outgoing_strangers import Announced, OutgoingStrangers
from edge_reid.agent.stranger_eraser import StrangerEraser
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.errors import GalleryError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.mqtt.message import Received
from edge_reid.mqtt.message_transport import MessageConnection
from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey
from edge_reid.signing.envelope import EnvelopeError
from edge_reid.strangers.heard_purge import purge_others
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.heard_stranger import NOBODY, OtherPeople
from edge_reid.strangers.name_merging import merged_names
from edge_reid.strangers.stranger import Stranger
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.payloads import StrangersState
from edge_reid.wire.shared_strangers import CLOCKS_S
from edge_reid.wire.topics import STRANGER, STRANGER_ERASURES, Address

TURN_S = 0.5
"""Longest wait for the network before looking at our own people."""
SETTLE_S = 1.0
"""After it the broker has sent what stands there: erasures are done before anything is told."""
PURGE_INTERVAL_S = 60.0
"""Somebody may be kept for so much longer."""
OTHERS_INTERVAL_S = 3600.0
"""The same in files of agents that are no more."""
REFUSED_PAUSE_S = 60.0
"""What the broker does not take is offered again after so long."""

_log = logging.getLogger(__name__)


class StrangerExchange:
    """Between the files of a device and the broker. Of one thread.

    Args:
        address: ours.
        cameras: this agent's; of a file that agents share each tells whom its own saw last.
        settings: how long, how many, how strict.
        manifest: of the embedding model.
        key: ours, which signs.
        authority: of the site.
        own: people whom this device has seen.
        heard: people whom others have.
        clock: Unix seconds of the device.
    """

    def __init__(
        self,
        address: Address,
        cameras: Collection[str],
        settings: StrangerSettings,
        manifest: EmbeddingManifest,
        *,
        key: CertifiedKey,
        authority: CertificateAuthority,
        own: StrangerStore,
        heard: HeardStrangerStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.others = NOBODY
        """Whom others have told of: a value that is replaced, never changed."""
        self._address = address
        self._cameras = cameras
        self._settings = settings
        self._quantiles = manifest.impostor_quantiles
        self._own = own
        self._heard = heard
        self._clock = clock
        self._outgoing = OutgoingStrangers(address, key, manifest.model_id, heard.next_editions)
        ours = ComparedWith(manifest.model_id, manifest.dimension, settings.keep_s)
        self._incoming = IncomingStrangers(
            address,
            authority,
            ours,
            erased_through=lambda: heard.erased_through_utc_s,
            clock=clock,
        )
        self._eraser = StrangerEraser(authority, address.site, own, heard, clock)
        self._packets: dict[int, Announced] = {}
        self._agents: frozenset[str] = frozenset()  # who have told of people
        self._edition: int | None = None  # of our own file, when we read it; None: read it anew
        self._clock_offset_s = self._offset_s()
        self._purge_due_s = self._others_due_s = self._send_due_s = 0.0
        self._receipts: set[str] = set()  # ids of erasures whose people the broker has cleared
        self._trouble: dict[str, str] = {}  # by what it is about

    @property
    def state(self) -> StrangersState:
        """For the agent's status. An erasure counts as done when the broker has cleared, too."""
        done = self._eraser.done
        if self._outgoing.is_settled:
            self._receipts |= set(done)
        return StrangersState(
            shared=self._outgoing.count,
            heard=len(self.others.strangers),
            heard_from=len(self._agents),
            refused=self._incoming.refused,
            trouble="; ".join(self._trouble.values()) or None,
            erased=tuple(erasure for erasure in done if erasure in self._receipts),
        )

    def begin(self, connection: MessageConnection) -> None:
        """Hear what stands at the broker, on a new connection, before anything is said."""
        connection.outlives_refusals = True
        self._packets.clear()
        self._outgoing.begin_anew()
        self._clock_offset_s, self._edition = self._offset_s(), None
        root, site = self._address.root, self._address.site
        connection.listen([STRANGER_ERASURES.name(root, site)], self._hear_orders)
        connection.listen([STRANGER.filter(root, site)], self._hear)
        settled_s = time.monotonic() + SETTLE_S
        while (left_s := settled_s - time.monotonic()) > 0:
            connection.turn(left_s)

    def turn(self, connection: MessageConnection) -> bool:
        """Hear, learn and tell; False: our clock was set, so that all should be heard anew."""
        connection.turn(0.0 if self._incoming.has_waiting else TURN_S)
        self._take_answers(connection)
        self.look_after_files()
        self._send(connection)
        if abs(self._offset_s() - self._clock_offset_s) <= CLOCKS_S:
            return True
        self._outgoing.tell_anew()
        return False

    def look_after_files(self) -> None:
        """Erase, forget and learn; also where there is no connection."""
        self._carry_out_orders()
        self._purge_when_due()
        self._learn()
        self._compare()

    def _hear_orders(self, message: Received) -> None:
        try:
            self._eraser.hear(message.body)
            self._trouble.pop("orders", None)
        except EnvelopeError as error:
            self._incoming.refuse("orders", f"erasures: {error}")

    def _hear(self, message: Received) -> None:
        names = STRANGER.names_in(message.topic, self._address.root) or {}
        if names.get("agent") != self._address.agent:
            self._incoming.hear(message)
        elif message.retained and message.body:
            self._outgoing.found(names["stranger"])

    def _take_answers(self, connection: MessageConnection) -> None:
        for packet_id in connection.take_acknowledged():
            if announced := self._packets.pop(packet_id, None):
                self._outgoing.arrived(announced)
                self._trouble.pop("broker", None)
        for packet_id, refusal in connection.take_refused().items():
            if announced := self._packets.pop(packet_id, None):
                self._outgoing.refused(announced)
                self._send_due_s = time.monotonic() + REFUSED_PAUSE_S
                topic = announced.message.topic
                self._trouble["broker"] = f"the broker does not take {topic}: {refusal.reason}"

    def _carry_out_orders(self) -> None:
        try:
            if self._eraser.carry_out():
                self._edition = None
            self._trouble.pop("erasure", None)
        except GalleryError as error:  # another program reads the file: at the next turn
            self._trouble["erasure"] = str(error)
            self._edition = None

    def _learn(self) -> None:
        if self._incoming.has_waiting:
            news = self._incoming.take()
            most = self._settings.max_people
            self._incoming.note_old(self._heard.learn(news.heard, news.withdrawn, most))
            self._edition = None

    def _purge_when_due(self) -> None:
        if time.monotonic() < self._purge_due_s:
            return
        self._purge_due_s = time.monotonic() + PURGE_INTERVAL_S
        self._edition = None
        with suppress(GalleryError):  # _compare says so; others are forgotten all the same
            self._keep_former(self._own.strangers())  # whoever came since is kept for longer
        try:
            self._heard.purge(self._clock(), self._settings.keep_s)
            self._trouble.pop("purge", None)
        except GalleryError as error:
            self._trouble["purge"] = str(error)
        if time.monotonic() >= self._others_due_s:
            self._others_due_s = time.monotonic() + OTHERS_INTERVAL_S
            purge_others(self._heard.path, self._clock(), self._settings.keep_s)

    def _compare(self) -> None:
        """Whose names have changed, and who is new, when a file is not as it was."""
        edition = self._own.edition
        if self._edition == edition:
            return
        self._edition = edition
        now_utc_s = self._clock()
        own = self._remembered()
        heard = [each for each in self._heard.people() if each.forgotten_utc_s > now_utc_s]
        merged = merged_names(
            own,
            heard,
            own_tag=self._own.tag,
            impostor_quantiles=self._quantiles,
            target_fpir=self._settings.share_target_fpir,
        )
        if merged.taken:
            self._take_names(merged.taken, own)
            own = self._remembered()
        self._keep_former(own)
        renamed = self._heard.renamed()
        self._agents = frozenset(each.agent for each in heard)
        people = (
            replace(each.as_stranger, name=merged.meant.get(each.name, each.name)) for each in heard
        )
        self.others = OtherPeople(tuple(people), renamed)
        former: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        for before, present in sorted(renamed.items()):
            former[present] += (before,)
        self._outgoing.want(
            (
                each
                for each in own
                if each.camera in self._cameras and each.forgotten_utc_s > now_utc_s
            ),
            former,
        )

    def _remembered(self) -> tuple[Stranger, ...]:
        """Our people. Whoever was recognised by a name while that was erased is forgotten, too."""
        own = self._own.strangers()
        gone = self._heard.erased_among({each.name for each in own})
        if gone:
            self._own.forget_all(gone)
        return tuple(each for each in own if each.name not in gone)

    def _take_names(self, taken: Mapping[str, str], own: Sequence[Stranger]) -> None:
        """An erasure by the former name must find them, so that is noted first: of the two files,
        either may fail. It must find nobody else, so that is noted only of a name that is free.
        """
        kept_until = {each.name: each.forgotten_utc_s for each in own}
        for name, present in taken.items():
            note = partial(self._heard.rename, name, present, kept_until[name])
            if self._own.rename(name, present, note):
                _log.info("strangers: %s is %s from now on, as others call them", name, present)

    def _keep_former(self, own: Sequence[Stranger]) -> None:
        """An erasure by a name that somebody had before must find them for as long as we do."""
        try:
            self._heard.keep_former({each.name: each.forgotten_utc_s for each in own})
            self._trouble.pop("former names", None)
        except GalleryError as error:
            self._trouble["former names"] = str(error)

    def _send(self, connection: MessageConnection) -> None:
        if time.monotonic() < self._send_due_s:
            return
        for announced in self._outgoing.take_due(
            connection.room, self._clock(), tells=not self._eraser.holds_back
        ):
            self._packets[connection.publish(announced.message)] = announced

    def _offset_s(self) -> float:
        return self._clock() - time.monotonic()
