"""What the broker does not take of us: held back for a while, so that the rest goes on.

An access rule may have been narrowed, a camera, an agent or a site renamed since events were
committed. They stay in the outbox, and are offered again now and then: a rule may be put right.

Some brokers say no and go on; some say no and hang up (Mosquitto 2.0.11); some hang up without a
word. So this outlives the connection; and after one that was lost, messages go one by one for a
while: at whichever a broker hangs up again and again, that is not taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

RETRY_S = 600.0
"""What was refused is offered again after so long."""
HANG_UPS_MAX = 3
"""In a row, with nothing on its way but messages on one topic."""
_NAMED_MAX = 3
"""Topics that are named; of the rest the number."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not taken, in words; and whether all on its topic is meant."""

    reason: str
    is_of_topic: bool


class Refusals:
    """Topics and single events that are not taken, each with the reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: dict[str, str] = {}
        self._events: dict[int, tuple[str, str]] = {}
        self._hang_ups: dict[str, int] = {}
        self._since_s = clock()

    @property
    def topics(self) -> tuple[str, ...]:
        """On which nothing is taken."""
        return tuple(sorted(self._topics))

    @property
    def seqs(self) -> frozenset[int]:
        """Of events that are not taken for themselves."""
        return frozenset(self._events)

    def covers(self, topic: str, seq: int) -> bool:
        """Whether an event is not taken."""
        return topic in self._topics or seq in self._events

    def __bool__(self) -> bool:
        return bool(self._topics or self._events)

    def note(self, refusal: Refusal, topic: str, seq: int | None) -> bool:
        """Hold back what was refused; returns whether its topic was taken from until now."""
        is_new = topic not in self._topics and not any(
            topic == refused for refused, _ in self._events.values()
        )
        if not self:
            self._since_s = self._clock()
        if refusal.is_of_topic or seq is None:
            self._topics[topic] = refusal.reason
        else:
            self._events[seq] = (topic, refusal.reason)
        return is_new

    def note_hang_up(self, topic: str, seq: int | None, reason: str) -> None:
        """The connection was lost while nothing but a message on this topic was on its way."""
        self._hang_ups[topic] = self._hang_ups.get(topic, 0) + 1
        if self._hang_ups[topic] >= HANG_UPS_MAX:
            del self._hang_ups[topic]
            is_second = any(topic == refused for refused, _ in self._events.values())
            self.note(Refusal(f"hangs up: {reason}", is_of_topic=is_second), topic, seq)

    def note_taken(self, topic: str) -> None:
        """The broker has taken a message on this topic."""
        self._hang_ups.pop(topic, None)

    def forget_when_due(self) -> bool:
        """Forget all after a while, for it to be offered again; returns whether it was time."""
        if not self or self._clock() - self._since_s < RETRY_S:
            return False
        self._topics.clear()
        self._events.clear()
        return True

    @property
    def in_words(self) -> str:
        """The topics and a reason, in one line; empty when everything is taken."""
        reasons = {**dict(self._events.values()), **self._topics}
        if not reasons:
            return ""
        named = sorted(reasons)[:_NAMED_MAX]
        more = f" and {len(reasons) - len(named)} more" if len(reasons) > len(named) else ""
        return f"does not take messages on {', '.join(named)}{more}: {reasons[named[0]]}"


NOTHING_REFUSED = Refusals()
"""Not to be added to."""
