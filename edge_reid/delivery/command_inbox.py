"""Where commands come in and results go out.

The broker says who may send a command (its access rules do); the inbox says what is one. What is
none is counted and forgotten, and so is what lay retained at the broker: it would come again at
every connection. A command that may not be carried out gets its refusal here.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from edge_reid.core.config.command_settings import CommandSettings
from edge_reid.core.errors import CommandError
from edge_reid.delivery.command_memory import CommandMemory
from edge_reid.mqtt.message import Message, Received
from edge_reid.wire.commands import (
    Command,
    CommandResult,
    Picture,
    parse_command,
)
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import CommandsState, utc_s
from edge_reid.wire.topics import Address

WAITING_MAX = 8
"""Commands that may wait to be carried out."""
REMEMBERED = 1000
"""Ids of commands that are known again, with what was answered."""


class CommandInbox:
    """Between the publisher, which hears commands, and who carries them out. Thread-safe.

    Args:
        settings: what is allowed, and how old it may be.
        clock: Unix seconds.
        memory: of commands taken before this start; None: of none.
    """

    def __init__(
        self,
        address: Address,
        settings: CommandSettings,
        clock: Callable[[], float] = time.time,
        *,
        memory: CommandMemory | None = None,
    ) -> None:
        self.answered: Callable[[], None] = lambda: None
        """Called whenever there is a result to send."""
        self._address = address
        self._settings = settings
        self._clock = clock
        self._memory = memory
        self._lock = threading.RLock()  # guards all below but the queue, which has its own
        self._waiting: queue.Queue[Command] = queue.Queue(WAITING_MAX)
        self._answers: OrderedDict[str, Message | None] = OrderedDict()  # by id; None: not yet
        self._outgoing: list[Message] = []
        self._state = CommandsState(
            allowed=settings.allow, done=0, refused=0, ignored=0, threshold_set=None
        )

    @property
    def state(self) -> CommandsState:
        """For the agent's status."""
        return self._state

    def hear(self, message: Received) -> None:
        """Take in what came on the command topic, whatever it is."""
        command = None if message.retained else _command_in(message.body)
        with self._lock:
            if command is None:
                self._count(ignored=self._state.ignored + 1)
            elif command.id not in self._answers:
                self._take_in(command)
            elif answer := self._answers[command.id]:  # it was lost, or the sender asks again
                self._send(answer)

    def next(self, timeout_s: float) -> Command | None:
        """The next command to carry out, oldest first; None when none came in time."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def done(
        self,
        command: Command,
        *,
        restart_for: tuple[str, ...] = (),
        threshold: float | None = None,
        gallery_version: int | None = None,
        picture: Picture | None = None,
        note: str | None = None,
    ) -> None:
        """Answer that a command was carried out."""
        self._answer(
            command,
            outcome="done",
            restart_for=restart_for,
            threshold=None if threshold is None else round(threshold, 4),
            gallery_version=gallery_version,
            picture=picture,
            note=note,
        )

    def refuse(self, command: Command, reason: str, mistakes: tuple[str, ...] = ()) -> None:
        """Answer why a command was not carried out."""
        self._answer(command, outcome="refused", reason=reason, mistakes=mistakes)

    def note_threshold(self, threshold: float | None) -> None:
        """The threshold that a command has set; None: as configured."""
        with self._lock:
            self._count(threshold_set=None if threshold is None else round(threshold, 4))

    def take_outgoing(self) -> list[Message]:
        """Results to be sent, once."""
        with self._lock:
            taken, self._outgoing = self._outgoing, []
        return taken

    def _take_in(self, command: Command) -> None:
        self._answers[command.id] = None
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        if reason := self._objection(command) or self._not_noted(command):
            self.refuse(command, reason)
            return
        try:
            self._waiting.put_nowait(command)
        except queue.Full:
            self.refuse(command, f"{WAITING_MAX} commands wait already; send it anew later")

    def _objection(self, command: Command) -> str | None:
        if command.command not in self._settings.allow:
            return f"{command.command} is not enabled here; name it in commands.allow on the device"
        age_s, most_s = self._clock() - utc_s(command.issued_at), self._settings.max_age_s
        if abs(age_s) > most_s:
            when = f"{abs(age_s):.0f} s {'ago' if age_s > 0 else 'in the future'}"
            return (
                f"expected a command issued within {most_s:g} s, got one of {when}; "
                "send it anew, and check both clocks"
            )
        return None

    def _not_noted(self, command: Command) -> str | None:
        """Note a command for the next start; why it may not be done, if it may not."""
        if self._memory is None:
            return None
        if command.id in self._memory:
            return "it was taken before this agent started anew; send another one"
        try:
            self._memory.note(command.id, utc_s(command.issued_at), self._clock())
        except CommandError as error:
            return str(error)
        return None

    def _answer(self, command: Command, **answer: Any) -> None:
        result = CommandResult(
            id=command.id,
            command=command.command,
            site=self._address.site,
            agent=self._address.agent,
            at=rfc3339(self._clock()),
            **answer,
        )
        message = Message(self._address.agent_result, result.to_json())
        with self._lock:
            if result.id in self._answers:
                self._answers[result.id] = message
            if result.outcome == "done":
                self._count(done=self._state.done + 1)
            else:
                self._count(refused=self._state.refused + 1)
            self._send(message)

    def _send(self, message: Message) -> None:
        self._outgoing.append(message)
        del self._outgoing[:-REMEMBERED]  # no broker for long: nobody waits for the oldest
        self.answered()

    def _count(self, **changes: object) -> None:
        self._state = self._state.model_copy(update=changes)


def _command_in(body: bytes) -> Command | None:
    try:
        return parse_command(body)
    except ValueError:
        return None
