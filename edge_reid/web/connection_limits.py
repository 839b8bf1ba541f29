"""How much of this device the page's connections may take, whoever opens them.

Frames are the work of the device; the page is a guest. Every limit here holds before a request is
looked at, so that it also holds for whoever sends none.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
"""A connection is a file descriptor, of which cameras need some too."""
MOST_STREAMS = 32
"""Pictures and events that are being watched."""
HEADERS_BYTES = 16 << 10
SEND_BYTES = 128 << 10
"""What the kernel may hold of an answer; by itself it would take megabytes for a slow reader."""
REQUEST_S = 10.0
"""Within which a request must have come."""
STALL_S = 15.0
"""A browser that takes nothing for so long is gone, or means harm."""


class CountedSocket(socket.socket):
    """A listening socket that closes connections beyond `MOST_CONNECTIONS` as they come."""

    _accepted: list[socket.socket]

    def accept(self) -> tuple[socket.socket, object]:
        """As of every socket.

        Raises:
            BlockingIOError: there is no connection, or no room for it.
        """
        connection, address = super().accept()
        alive = [one for one in getattr(self, "_accepted", []) if one.fileno() != -1]
        if len(alive) >= MOST_CONNECTIONS:
            connection.close()
            raise BlockingIOError
        self._accepted = [*alive, connection]
        return connection, address


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a time for requests to come and for answers to go."""

    _waits_for_request: asyncio.TimerHandle | None = None
    _waits_for_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waits_for_request is None and not self._is_answering():
            self._expect_request()
        super().data_received(data)
        if self._waits_for_request and self._is_answering():
            self._waits_for_request.cancel()
            self._waits_for_request = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._waits_for_reader = self.loop.call_later(STALL_S, self._let_go)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._waits_for_reader:
            self._waits_for_reader.cancel()
            self._waits_for_reader = None

    def _expect_request(self) -> None:
        self._waits_for_request = self.loop.call_later(REQUEST_S, self._let_go)

    def _let_go(self) -> None:
        """Close, and have the kernel forget what was not taken; else it would keep it."""
        own = self.transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _cancel(self) -> None:
        for timer in (self._waits_for_request, self._waits_for_reader):
            if timer:
                timer.cancel()
