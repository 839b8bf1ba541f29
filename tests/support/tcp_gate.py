"""A TCP gate before a broker: shut, it hangs up on everybody; frozen, nothing passes any more."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Gate:
    """Clients come to `port`, the broker is at `target_port`. It begins open."""

    def __init__(self, target_port: int) -> None:
        self.is_open = True
        """Whether newcomers are let through."""
        self.is_frozen = False
        """Whether what is said is swallowed, as by a cable that was cut."""
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._partner: dict[socket.socket, socket.socket] = {}
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(5)
        for side in (self._listener, *self._partner):
            side.close()

    def hang_up(self) -> None:
        """On everybody who was let through."""
        for side in tuple(self._partner):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._ended:
            for side in select.select([self._listener, *self._partner], [], [], 0.05)[0]:
                if side is self._listener:
                    self._welcome()
                elif side in self._partner:
                    self._pass_on(side)

    def _welcome(self) -> None:
        client, _ = self._listener.accept()
        try:
            if not self.is_open:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            client.close()
        else:
            self._partner |= {client: server, server: client}

    def _pass_on(self, side: socket.socket) -> None:
        said = b""
        with contextlib.suppress(OSError):
            said = side.recv(65536)
            if said and not self.is_frozen:
                self._partner[side].sendall(self._changed(said, side))
        if not said:
            other = self._partner.pop(side)
            self._partner.pop(other)
            side.close()
            other.close()

    def _changed(self, said: bytes, side: socket.socket) -> bytes:
        """What is passed on of what one side said; an honest gate changes nothing."""
        del side
        return said
