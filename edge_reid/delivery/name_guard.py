"""Is another agent of our name online? Looked up before we connect, so that we disturb nobody.

A broker lets the newcomer take over the client id of who is there, and some (Mosquitto 2.0) hang
up without a word of why. Two agents of one name, a cloned SD card say, would throw each other out
for ever. Here who is online stays, and the other one stands aside until it has gone:

- every agent draws a random session at its start, and its retained status tells it;
- before every attempt to connect an agent reads that status over a connection with no name. A
  foreign session that is online and not silent is a rival;
- an agent's own last session is in its outbox, so that one that lost its power takes over at once
  from what the broker still believes of it; in a copy of the outbox it is a rival's, as long as
  that may run (`instance`);
- who stands aside says so on `agents/<agent>/duplicate`, and touches nothing of the other's.

Two that start in the same second may both see nobody. The broker then throws one out, which looks
again, sees the other, and stands aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

from paho.mqtt.enums import MQTTProtocolVersion

from edge_reid.mqtt.broker import Broker, NameTakenError, RefusedError
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.payloads import AgentDuplicate, AgentStatus
from edge_reid.wire.topics import Address

LOOK_S = 0.3
"""MQTT has no word for "nothing is retained". What comes later is seen at the next look."""
STANDBY_S = 60.0
"""Between two looks while standing aside."""
FAREWELL_S = 2.0


@dataclass(frozen=True, slots=True)
class View:
    """What a look found."""

    version: MQTTProtocolVersion
    """Of MQTT, that the broker speaks."""
    rival: AgentStatus | None = None
    """Of another agent of our name, when one is online."""


class NameGuard:
    """Looks for a rival. It takes its own word for how long one is silent, not the rival's clock.

    Args:
        silence_s: a rival whose status does not change for so long is gone.
        own_sessions: what we call ourselves, and did in our last life.
    """

    def __init__(
        self,
        broker: Broker,
        address: Address,
        *,
        silence_s: float,
        own_sessions: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._address = address
        self._silence_s = silence_s
        self._own_sessions = frozenset(own_sessions)
        self._clock = clock
        self._last_heard = "", clock()  # the newest status seen, and when first

    def look(self) -> View:
        """Read the retained status of our name.

        Raises:
            RefusedError, UnreachableError: there is no way in at all.
        """
        connection = connect(self._broker)
        try:
            status = self._read_status(connection)
        finally:
            connection.close()
        is_rival = status is not None and self._is_rival(status)
        return View(connection.version, status if is_rival else None)

    def stand_aside(self, view: View, ours: AgentDuplicate) -> NoReturn:
        """Say that we are here too, for as long as we look now and then.

        Raises:
            NameTakenError: always; it names the rival.
        """
        rival = view.rival
        assert rival is not None, "there is somebody to stand aside for"  # noqa: S101
        connection = connect(self._broker, version=view.version)
        text, lifetime_s = ours.to_json(), max(1, round(3 * STANDBY_S))
        topic = self._address.agent_duplicate
        connection.publish(Message(topic, text, retain=True, expiry_s=lifetime_s))
        deadline_s = self._clock() + FAREWELL_S
        while not connection.is_idle and self._clock() < deadline_s:
            connection.turn(0.1)
        connection.close()
        raise NameTakenError(
            f"agent {rival.agent}: expected no other of this name at {rival.site}, got one on"
            f" host {rival.host}, started {rival.started_at}; give one of them another name"
            " (agent = …); this one stays offline and keeps its events until the other has gone"
        )

    def _read_status(self, connection: Connection) -> AgentStatus | None:
        try:
            connection.subscribe([self._address.agent_status])
        except RefusedError:  # a login that may write its status and not read it: nothing to see
            return None
        deadline_s = self._clock() + LOOK_S
        while not connection.received and (left_s := deadline_s - self._clock()) > 0:
            connection.turn(left_s)
        if not connection.received:
            return None
        try:
            return AgentStatus.model_validate_json(connection.received[0].body)
        except ValueError:  # of another kind, or another age
            return None

    def _is_rival(self, status: AgentStatus) -> bool:
        foreign = status.session is not None and status.session not in self._own_sessions
        if not foreign or status.state != "online":
            return False
        heard = f"{status.session} {status.at}"
        if heard != self._last_heard[0]:
            self._last_heard = heard, self._clock()
        return self._clock() - self._last_heard[1] < self._silence_s
