"""Which events wait for a sink's word, and what is done when none comes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_reid.mqtt.message import Received
from edge_reid.wire.payloads import EventsStored

_log = logging.getLogger(__name__)

_TIMES_IN_VAIN = 2


@dataclass(frozen=True, slots=True)
class _AwaitingSink:
    """An event that a sink should confirm, and when it was sent."""

    seqs: tuple[int, ...]
    """More than one when the same event was committed twice: a video that was run again."""
    at_s: float


class SinkConfirmations:
    """Events that were sent and that no sink has named yet, of one connection.

    Args:
        resend_s: what no sink has confirmed for so long is sent again.
        clock: monotonic seconds.
    """

    def __init__(self, resend_s: float, clock: Callable[[], float]) -> None:
        self._resend_s = resend_s
        self._clock = clock
        self._unconfirmed: dict[str, _AwaitingSink] = {}  # by event id, oldest first
        self._times_sent: dict[str, int] = {}  # in vain, by event id
        self._stored_ids: list[str] = []  # that sinks have named since the last look

    def __len__(self) -> int:
        return len(self._unconfirmed)

    @property
    def seqs(self) -> frozenset[int]:
        """Of all that wait."""
        return frozenset(seq for event in self._unconfirmed.values() for seq in event.seqs)

    @property
    def are_missing(self) -> bool:
        """Whether some were sent in vain before: is it the sinks, or what they do not want?"""
        return bool(self._times_sent)

    def hear(self, message: Received) -> None:
        """Take in events that a sink names as stored."""
        try:
            self._stored_ids += EventsStored.model_validate_json(message.body).event_ids
        except ValueError as error:
            _log.warning("%s: skipped what names no stored events: %s", message.topic, error)

    def expect(self, event_id: str, seq: int) -> None:
        """An event is about to be sent."""
        before = self._unconfirmed.get(event_id, _AwaitingSink((), self._clock()))
        self._unconfirmed[event_id] = replace(before, seqs=(*before.seqs, seq))

    def forget(self, event_id: str) -> None:
        """An event is not sent after all."""
        self._unconfirmed.pop(event_id, None)

    def take_confirmed(self) -> list[int]:
        """Sequence numbers of events that sinks have stored since the last call."""
        event_ids, self._stored_ids = dict.fromkeys(self._stored_ids), []
        known = [event_id for event_id in event_ids if event_id in self._unconfirmed]
        return [seq for event_id in known for seq in self._unconfirmed.pop(event_id).seqs]

    def take_unwanted(self) -> list[int]:
        """Sequence numbers of events that were sent twice in vain, to be asked for when others are
        confirmed: a sink is there, and does not take these.
        """
        sent_before_s = self._clock() - self._resend_s / 2
        unwanted: list[int] = []
        for event_id, times in list(self._times_sent.items()):
            event = self._unconfirmed.get(event_id)
            if event is None:
                del self._times_sent[event_id]
            elif times >= _TIMES_IN_VAIN and event.at_s < sent_before_s:
                _log.warning("no sink takes event %s; the others go on", event_id)
                del self._unconfirmed[event_id]
                unwanted += event.seqs
        return unwanted

    def give_up_when_due(self) -> bool:
        """Whether sinks were silent too long: then nothing waits any more, and all is to be sent
        again.
        """
        oldest = next(iter(self._unconfirmed.values()), None)
        if oldest is None or self._clock() - oldest.at_s <= self._resend_s:
            return False
        _log.warning("no sink has confirmed %d events; sending again", len(self._unconfirmed))
        self._times_sent = {
            event_id: self._times_sent.get(event_id, 0) + 1 for event_id in self._unconfirmed
        }
        self._unconfirmed.clear()
        return True
