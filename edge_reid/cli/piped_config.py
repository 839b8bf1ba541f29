"""A configuration that comes through a pipe: `--config /dev/stdin`, or `--config <(make-it)`.

A pipe gives its text once, and a run wants it again: when it is told to reload, and when it begins
anew with the model of another gallery. So the text is kept in memory, and put into a pipe of our
own in the place of the one that is empty; on no disk, as logins of cameras may be in it.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from edge_reid.core.errors import ConfigError, UsageError

MOST_BYTES = 1 << 16
"""What a pipe holds before anybody reads."""
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]+)")
_STDIN = {"/dev/stdin": 0}


class PipedConfig:
    """The text of a configuration, and the descriptor that it comes through.

    Args:
        descriptor: open, and read to its end.
        body: what came.
    """

    def __init__(self, descriptor: int, body: bytes) -> None:
        self._descriptor = descriptor
        self._body = body

    @classmethod
    def of(cls, config: Path | None) -> PipedConfig | None:
        """What comes through the descriptor that a path names, read to its end and put back.

        Args:
            config: as it is typed; None: there is none.

        Returns:
            None: it is a file, which can be read as often as one likes, or nothing that is there.

        Raises:
            UsageError: it is too large, or for a pipe as they are now.
            ConfigError: it cannot be read, as the end of a pipe that is written to.
        """
        descriptor = read_once_descriptor(config) if config else None
        if descriptor is None:
            return None
        try:
            body = drained(descriptor)
        except OSError as error:
            raise ConfigError(str(config), [f"cannot be read: {error.strerror}"]) from error
        if len(body) > MOST_BYTES:
            raise UsageError(
                f"--config {config}: expected at most {MOST_BYTES} bytes through a pipe, got more; "
                "write them into a file, and give that"
            )
        piped = cls(descriptor, body)
        piped.refill()
        return piped

    def refill(self) -> None:
        """Have the descriptor give the text once more, also to what this process becomes.

        Raises:
            UsageError: a pipe does not hold it now.
        """
        reading, writing = os.pipe()
        os.dup2(reading, self._descriptor)
        os.close(reading)
        fill(writing, self._body)


def drained(descriptor: int) -> bytes:
    """What comes through a pipe that stays open, to its end or to one byte more than `MOST_BYTES`.

    Raises:
        OSError: it cannot be read.
    """
    with open(descriptor, "rb", closefd=False) as pipe:
        return pipe.read(MOST_BYTES + 1)


def fill(pipe: int, body: bytes) -> None:
    """Write all of it into an empty pipe that nobody reads yet, and close that.

    Args:
        pipe: descriptor of the end that is written to.
        body: what it is to hold. Linux makes pipes smaller for a user who has very many, and to
            write more than one holds would be to wait for ever.

    Raises:
        UsageError: it holds less.
    """
    os.set_blocking(pipe, False)
    with open(pipe, "wb", buffering=0) as end:
        held = end.write(body)
    if held != len(body):
        raise UsageError(
            f"--config: expected a pipe that holds its {len(body)} bytes, got one of {held}, as "
            "this user has very many pipes open; write them into a file, and give that"
        )


def check_comes_again(config: Path | None, when: str, otherwise: str) -> None:
    """Raise UsageError if a configuration is a named pipe, which would have to be written anew:
    whoever opens it waits until somebody does.

    Args:
        config: as it is typed; None: there is none.
        when: it is read again.
        otherwise: what can be done but to write it into a file.
    """
    if config and is_named_pipe(config):
        raise UsageError(
            f"--config {config}: expected a file or /dev/stdin, as it is read again {when}, "
            f"got a named pipe; write it into a file, or {otherwise}"
        )


def is_named_pipe(path: Path) -> bool:
    """Whether it is a pipe in a folder, and not one that was handed over as a descriptor."""
    with suppress(OSError):
        return _descriptor_of(str(path)) is None and path.is_fifo()
    return False


def read_once_descriptor(path: Path) -> int | None:
    """The descriptor that a path names, where it gives its text once; None: it is a file, or
    nothing that is there.
    """
    descriptor = _descriptor_of(str(path))
    return descriptor if descriptor is not None and _is_read_once(descriptor) else None


def _descriptor_of(path: str) -> int | None:
    found = _DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else _STDIN.get(path)


def _is_read_once(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except (OSError, OverflowError):  # reading it as a file says so
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
