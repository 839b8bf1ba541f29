"""Is another agent of our name online? Looked up before we connect, so that we disturb nobody.

A broker lets the newcomer take over the client id of who is there, and some (Mosquitto 2.0) hang
up without a word of why. Two agents of one name, a cloned SD card say, would throw each other out
for ever. Here who is online stays, and the other one stands aside until it has gone:

- every agent draws a random instance id at its start, and its retained status holds it (in the
  payload's field `session`);
- before every attempt to connect an agent reads that status over a connection with no name. A
  foreign instance that is online and not silent is a rival;
- an agent's own last instance is in its outbox, so that one that lost its power takes over at once
  from what the broker still believes of it; in a copy of the outbox it is a rival's, as long as
  that may run (`instance`);
- who stands aside says so on the topic `AGENT_DUPLICATE`, and touches nothing of the other's.

Two that start in the same second may both see nobody. The broker then throws one out, which looks
again, sees the other, and stands aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from edge_reid.core.errors import BrokerError
from edge_reid.mqtt.message import Message
from edge_reid.mqtt.message_transport import MessageConnection, MessageTransport, RefusedError
from edge_reid.mqtt.retained import read_topic
from edge_reid.wire.payloads import AgentDuplicate, AgentStatus
from edge_reid.wire.topics import AGENT_DUPLICATE, Address

LOOK_S = 0.3
"""MQTT has no word for "nothing is retained". What comes later is seen at the next look."""
STANDBY_S = 60.0
"""Between two looks while standing aside."""
FAREWELL_S = 2.0


class NameTakenError(BrokerError):
    """Another agent of our name is online. There can be one."""


class NameGuard:
    """Looks for a rival. It takes its own word for how long one is silent, not the rival's clock.

    Args:
        silence_s: a rival whose status does not change for so long is gone.
        own_instances: ids of this start of the agent, and of the one before.
    """

    def __init__(
        self,
        transport: MessageTransport,
        address: Address,
        *,
        silence_s: float,
        own_instances: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._address = address
        self._silence_s = silence_s
        self._own_instances = frozenset(own_instances)
        self._clock = clock
        self._last_heard = "", clock()  # the newest status seen, and when first

    def check(self, duplicate: Callable[[], AgentDuplicate]) -> None:
        """Read the retained status of our name; where there is a rival, say that we stand aside.

        Args:
            duplicate: what we say then.

        Raises:
            NameTakenError: another agent of our name is online.
            RefusedError, UnreachableError: there is no way in at all.
        """
        connection = self._transport.connect()
        try:
            status = self._read_status(connection)
            if status and self._is_rival(status):
                self._stand_aside(connection, duplicate())
                raise _name_taken(status)
        finally:
            connection.close()

    def _read_status(self, connection: MessageConnection) -> AgentStatus | None:
        try:
            body = read_topic(connection, self._address.agent_status, grace_s=LOOK_S)
        except RefusedError:  # a login that may write its status and not read it: nothing to see
            return None
        try:
            return AgentStatus.model_validate_json(body) if body else None
        except ValueError:  # of another kind, or another age
            return None

    def _is_rival(self, status: AgentStatus) -> bool:
        is_foreign = status.session is not None and status.session not in self._own_instances
        if not is_foreign or status.state != "online":
            return False
        heard = f"{status.session} {status.at}"
        if heard != self._last_heard[0]:
            self._last_heard = heard, self._clock()
        return self._clock() - self._last_heard[1] < self._silence_s

    def _stand_aside(self, connection: MessageConnection, ours: AgentDuplicate) -> None:
        """Say that we are here too; the broker forgets it unless we look again."""
        topic, expiry_s = self._address.agent_duplicate, AGENT_DUPLICATE.expiry_s
        connection.publish(Message(topic, ours.to_json(), retain=True, expiry_s=expiry_s))
        deadline_s = self._clock() + FAREWELL_S
        while not connection.is_idle and self._clock() < deadline_s:
            connection.turn(0.1)


def _name_taken(rival: AgentStatus) -> NameTakenError:
    return NameTakenError(
        f"agent {rival.agent}: expected no other of this name at {rival.site}, got one on"
        f" host {rival.host}, started {rival.started_at}; give one of them another name"
        " (agent = …); this one stays offline and keeps its events until the other has gone"
    )
