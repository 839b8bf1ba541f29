"""The other side of commands: tell an agent to do something, and wait for what it says."""

from __future__ import annotations

import secrets
import time
from typing import TypeVar

from edge_reid.core.config import CommandName
from edge_reid.core.errors import CommandError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, Received, connect
from edge_reid.mqtt.message import Message
from edge_reid.wire.commands import Command, CommandResult
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AgentStatus, Payload
from edge_reid.wire.topics import Address

P = TypeVar("P", bound=Payload)

LOOK_S = 1.0
"""The agent's status is retained: what has not come so soon is not there."""


def new_command(name: CommandName, threshold: float | None = None) -> Command:
    """One issued now, with an id of its own.

    Raises:
        ValueError: the threshold is none, or goes with another command.
    """
    at = rfc3339(time.time())
    return Command(id=secrets.token_hex(8), command=name, issued_at=at, threshold=threshold)


def ask(broker: Broker, address: Address, command: Command, *, timeout_s: float) -> CommandResult:
    """Send a command, and return the agent's answer, `done` or `refused`.

    Raises:
        CommandError: the agent is not there, takes no commands, or does not answer in time.
        BrokerError: the broker is not there, or does not let us.
    """
    connection = connect(broker)
    try:
        connection.subscribe([address.agent_status, address.agent_result])
        _check_that_it_listens(connection, address)
        connection.publish(Message(address.agent_command, command.to_json()))
        result = _await_result(connection, address, command, timeout_s)
        connection.close()
    finally:
        connection.abort()
    return result


def _check_that_it_listens(connection: Connection, address: Address) -> None:
    status = _read_status(connection, address)
    who = f"agent {address.agent}"
    if status is None:
        raise CommandError(
            f"{who}: expected one that is online at site {address.site}, got none of this name;"
            " `edge-reid fleet` shows those there are"
        )
    if status.is_lost:
        raise CommandError(f"{who}: is lost; was connected since {status.at}; try again later")
    if status.state == "offline":
        raise CommandError(f"{who}: is offline since {status.at}: {status.reason}; try again later")
    if status.commands is None:
        raise CommandError(
            f"{who}: takes no commands; name those it should in commands.allow on the device"
        )


def _read_status(connection: Connection, address: Address) -> AgentStatus | None:
    deadline_s = time.monotonic() + LOOK_S
    while (left_s := deadline_s - time.monotonic()) > 0:
        if came := _taken(connection, address.agent_status):
            return _parsed(AgentStatus, came[-1].body)
        connection.turn(left_s)
    return None


def _await_result(
    connection: Connection, address: Address, command: Command, timeout_s: float
) -> CommandResult:
    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        for message in _taken(connection, address.agent_result):
            result = _parsed(CommandResult, message.body)
            if result and result.id == command.id:
                return result
        connection.turn(min(left_s, 1.0))
    raise CommandError(
        f"agent {address.agent}: expected an answer within {timeout_s:g} s, got none; "
        "is it still online, and may its login read its command topic and write its result?"
    )


def _taken(connection: Connection, topic: str) -> list[Received]:
    """What came on a topic; the rest is of no use to us."""
    came = [message for message in connection.received if message.topic == topic]
    connection.received.clear()
    return came


def _parsed(kind: type[P], body: bytes) -> P | None:
    try:
        return kind.model_validate_json(body)
    except ValueError:  # of another kind, or another age
        return None
