"""How much waits in a socket of this process that FFmpeg opened.

Every descriptor is tried: a decoder may have few, and may not list them.
"""

from __future__ import annotations

import array
import fcntl
import os
import resource
import socket
import stat
import termios
from contextlib import suppress


def other_end(connection: socket.socket) -> int | None:
    """The descriptor in this process of the other end of a loopback connection; None: elsewhere."""
    ours = connection.getsockname(), connection.getpeername()
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for descriptor in range(most):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and _ends(descriptor) == ours:
                return descriptor
    return None


def _ends(descriptor: int) -> tuple[object, object]:
    """(the other end, this end) of a socket."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        return connection.getpeername(), connection.getsockname()


def unread_bytes(descriptor: int) -> int:
    """What has come and was not read yet; 0 when it has been closed meanwhile."""
    count = array.array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
