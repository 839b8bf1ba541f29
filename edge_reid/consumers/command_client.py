"""The other side of commands: have an agent do something, and wait for what it says."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TypeVar

from edge_reid.core.config.command_settings import CommandName
from edge_reid.core.errors import CommandError
from edge_reid.mqtt.broker import Broker
from edge_reid.mqtt.connection import Connection, connect
from edge_reid.mqtt.message import Message, Received
from edge_reid.mqtt.retained import read_topic
from edge_reid.wire.commands import Command, CommandResult
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import AgentStatus, Payload
from edge_reid.wire.topics import Address

P = TypeVar("P", bound=Payload)

LOOK_S = 1.0
"""The agent's status is retained: what has not come so soon is not there."""


def new_command(
    name: CommandName,
    threshold: float | None = None,
    *,
    camera: str | None = None,
    event_id: str | None = None,
) -> Command:
    """One issued now, with an id of its own; for an agent, or for one camera of it.

    Raises:
        ValueError: threshold or event is none, or goes with another command.
    """
    return Command(
        id=secrets.token_hex(8),
        command=name,
        issued_at=rfc3339(time.time()),
        threshold=threshold,
        camera=camera,
        event_id=event_id,
    )


def ask(broker: Broker, address: Address, command: Command, *, timeout_s: float) -> CommandResult:
    """Send a command, and return the agent's answer, `done` or `refused`.

    Raises:
        CommandError: the agent is not there, takes no commands, or does not answer in time.
        BrokerError: the broker is not there, or does not let us.
    """
    results: list[CommandResult] = []

    def hear(message: Received) -> None:
        result = _parsed(CommandResult, message.body)
        if result and result.id == command.id:
            results.append(result)

    connection = connect(broker)
    try:
        connection.listen([address.agent_result], hear)
        _check_that_it_listens(connection, address)
        connection.publish(Message(address.agent_command, command.to_json()))
        _await_result(connection, results, address, timeout_s)
        connection.close()
    finally:
        connection.abort()
    return results[0]


def _check_that_it_listens(connection: Connection, address: Address) -> None:
    body = read_topic(connection, address.agent_status, grace_s=LOOK_S)
    status = _parsed(AgentStatus, body) if body else None
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


def _await_result(
    connection: Connection, results: Sequence[CommandResult], address: Address, timeout_s: float
) -> None:
    """Turn until a result has come; raises CommandError when none does in time."""
    deadline_s = time.monotonic() + timeout_s
    while not results and (left_s := deadline_s - time.monotonic()) > 0:
        connection.turn(min(left_s, 1.0))
    if not results:
        raise CommandError(
            f"agent {address.agent}: expected an answer within {timeout_s:g} s, got none; "
            "is it still online, and may its login read its command topic and write its result?"
        )


def _parsed(kind: type[P], body: bytes) -> P | None:
    try:
        return kind.model_validate_json(body)
    except ValueError:  # of another kind, or another age
        return None
