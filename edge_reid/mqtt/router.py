"""Which listener hears which message: topic filter → handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub

from edge_reid.mqtt.message import Received

_log = logging.getLogger(__name__)

_SHARED = "$share/"


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """Somebody who hears messages."""

    filters: tuple[str, ...]
    """MQTT topic filters; a message that fits several is heard once."""
    hear: Callable[[Received], None]


class Router:
    """Gives every message to all listeners of its topic, in the order in which they were added.

    A listener that raises is logged; the others hear the message all the same.
    """

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    @property
    def filters(self) -> frozenset[str]:
        """All that somebody listens to."""
        return frozenset(pattern for listener in self._listeners for pattern in listener.filters)

    def add(self, listener: Listener) -> None:
        """From the next message on."""
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: Listener) -> None:
        """No message more; nothing happens if it is not there."""
        self._listeners = tuple(other for other in self._listeners if other is not listener)

    def route(self, message: Received) -> bool:
        """Call the listeners of a message; returns whether there is one."""
        fitting = [entry for entry in self._listeners if _fits(message.topic, entry.filters)]
        for listener in fitting:
            _call(listener, message)
        return bool(fitting)


def _call(listener: Listener, message: Received) -> None:
    try:
        listener.hear(message)
    except Exception:
        _log.exception("a listener of %s failed; the others go on", message.topic)


def _fits(topic: str, filters: tuple[str, ...]) -> bool:
    return any(topic_matches_sub(_unshared(pattern), topic) for pattern in filters)


def _unshared(pattern: str) -> str:
    """A filter without its group: messages of `$share/GROUP/FILTER` come on topics of FILTER."""
    return pattern.split("/", 2)[2] if pattern.startswith(_SHARED) else pattern
