"""How much waits in a socket of this process that FFmpeg opened."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios
from contextlib import suppress
from pathlib import Path


def other_end(connection: socket.socket) -> int | None:
    """The descriptor in this process of the other end of a loopback connection; None: elsewhere."""
    ours = connection.getsockname(), connection.getpeername()
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as candidate:
            if (candidate.getpeername(), candidate.getsockname()) == ours:
                return descriptor
    return None


def unread_bytes(descriptor: int) -> int:
    """What has come and was not read yet; 0 when it has been closed meanwhile."""
    count = array.array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
