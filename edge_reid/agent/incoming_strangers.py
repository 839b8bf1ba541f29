"""What other devices say of strangers: taken only if signature, topic, time and model agree."""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_reid.core.anonymous_names import STRANGER_PATTERN
from edge_reid.core.foreign_text import shown
from edge_reid.core.repeat_limit import RepeatLimit
from edge_reid.matching.vectors import unpack_coarsely
from edge_reid.mqtt.message import Received
from edge_reid.signing.certified_envelope import CertificateAuthority
from edge_reid.signing.envelope import EnvelopeError
from edge_reid.strangers.heard_stranger import HeardStranger
from edge_reid.wire.payloads import utc_s
from edge_reid.wire.shared_strangers import (
    CLOCKS_S,
    MAX_SIGNED_BYTES,
    SharedStranger,
    verified_stranger,
)
from edge_reid.wire.topics import NOBODYS_NAME, STRANGER, Address

WAITING_MAX = 4000
"""Messages that wait to be looked at, the newest of each topic; what is more is not taken."""
BATCH = 50
"""Looked at in one turn: a device has other things to do."""
LOG_SPAN_S = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """What people must have to be compared with ours, and how long we keep them at most."""

    model_id: str
    dimension: int
    keep_s: float


@dataclass(frozen=True, slots=True)
class News:
    """What a batch of messages says."""

    heard: tuple[HeardStranger, ...]
    withdrawn: tuple[tuple[str, str], ...]
    """Agent and name."""


class IncomingStrangers:
    """Looks at messages on the topics of strangers. Of one thread.

    Args:
        address: ours; what comes on our own topics is no news.
        authority: of the site.
        ours: model and time of this device.
        erased_through: what was written until then is of people who are erased.
        clock: Unix seconds of the device.
    """

    def __init__(
        self,
        address: Address,
        authority: CertificateAuthority,
        ours: ComparedWith,
        *,
        erased_through: Callable[[], float | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = address
        self._authority = authority
        self._ours = ours
        self._erased_through = erased_through
        self._clock = clock
        self._waiting: dict[str, Received] = {}  # by topic, the oldest first
        self._said = RepeatLimit(most=1, span_s=LOG_SPAN_S)
        self.refused = 0
        """Messages that were not taken."""

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def hear(self, message: Received) -> None:
        """Take in a message, for later."""
        if message.topic.endswith(f"/{NOBODYS_NAME}"):
            return
        if len(message.body) > MAX_SIGNED_BYTES:
            self.refuse(
                "size", f"expected at most {MAX_SIGNED_BYTES} bytes, got {len(message.body)}"
            )
            return
        if len(self._waiting) >= WAITING_MAX and message.topic not in self._waiting:
            self.refuse("a flood", f"more than {WAITING_MAX} messages wait; the rest is not taken")
            return
        self._waiting.pop(message.topic, None)
        self._waiting[message.topic] = message

    def take(self) -> News:
        """What the next messages say."""
        heard: list[HeardStranger] = []
        withdrawn: list[tuple[str, str]] = []
        for topic in tuple(self._waiting)[:BATCH]:
            message = self._waiting.pop(topic)
            names = STRANGER.names_in(topic, self._address.root)
            if names is None or not re.fullmatch(STRANGER_PATTERN, names["stranger"]):
                self.refuse("topics", f"expected an anonymous name, got the topic {shown(topic)}")
            elif not message.body:
                withdrawn.append((names["agent"], names["stranger"]))
            elif person := self._believed(message.body, names["agent"], names["stranger"]):
                heard.append(person)
        return News(tuple(heard), tuple(withdrawn))

    def note_old(self, count: int) -> None:
        """So many were older than what is known, withdrawn or erased."""
        self.refused += count

    def _believed(self, body: bytes, agent: str, name: str) -> HeardStranger | None:
        try:
            shared = verified_stranger(
                body,
                self._authority,
                site=self._address.site,
                agent=agent,
                stranger=name,
                now_utc_s=self._clock(),
            )
            return self._compared(shared)
        except (EnvelopeError, ValueError) as error:
            self.refuse(f"{agent}: {type(error).__name__}", f"{agent}: {shown(str(error))}")
        return None

    def _compared(self, shared: SharedStranger) -> HeardStranger:
        """Raises EnvelopeError or ValueError when they cannot be compared with ours."""
        now_utc_s, expires_utc_s = self._clock(), utc_s(shared.expires_at)
        written_utc_s, last_seen_utc_s = utc_s(shared.at), utc_s(shared.last_seen)
        if written_utc_s > now_utc_s + CLOCKS_S:
            raise EnvelopeError(
                f"expected what was written by now, got {shared.at}; check both clocks"
            )
        if expires_utc_s <= now_utc_s:
            raise EnvelopeError(f"expected what holds still, got what expired {shared.expires_at}")
        if written_utc_s <= (self._erased_through() or 0.0):
            raise EnvelopeError("it was written before everybody was erased")
        if shared.model_id != self._ours.model_id:
            raise EnvelopeError(
                f"expected embeddings of model {self._ours.model_id}, got {shared.model_id}; give "
                "all devices of the site one model"
            )
        vector = unpack_coarsely(
            base64.b64decode(shared.vector, validate=True), self._ours.dimension
        )
        return HeardStranger(
            agent=shared.agent,
            name=shared.stranger,
            edition=shared.edition,
            formerly=shared.formerly,
            camera=shared.camera,
            first_seen_utc_s=utc_s(shared.first_seen),
            last_seen_utc_s=last_seen_utc_s,
            forgotten_utc_s=min(expires_utc_s, last_seen_utc_s + self._ours.keep_s),
            vector=vector,
        )

    def refuse(self, kind: str, line: str) -> None:
        """Count what is not taken; the log says it once an hour for each kind."""
        self.refused += 1
        if self._said.passes(kind):
            _log.warning("strangers of others: %s; counted in the agent's status", line)
        for _ in self._said.take_withheld():  # spans that are over may be said again
            pass
