"""Linux's Landlock, by which a process gives up files and connections for good.

Not in Python's library, nor in that of C: three system calls and two structures of
`linux/landlock.h`. What a kernel does not know yet is left out, and said.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls, of the same number on every machine."""
_ASK_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_READ_FILE, _READ_FOLDER, _WRITE_FILE, _IOCTL = 1 << 2, 1 << 3, 1 << 1, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1, 2
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
"""All that a version can forbid; from the fifth on also control of devices."""
_ALL_FILE_RIGHTS = (1 << 16) - 1
_NETWORK_VERSION, _SIGNALS_VERSION = 4, 6
_SCOPES = 3
"""Signals, and abstract Unix sockets, of processes outside."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is left; everything else is given up."""

    read: tuple[Path, ...] = ()
    """Files and folders, with all in them; those that are missing do not count."""
    control: tuple[Path, ...] = ()
    """Devices that are read, written and controlled."""
    connect_ports: tuple[int, ...] | None = ()
    """TCP ports of whatever host; None: connections are not looked at."""


def restrict(allowed: Allowed) -> str | None:
    """Give up everything but this in this thread, and in those that it starts.

    Returns:
        What this kernel could not enforce, for people; None: all of it is enforced.

    Raises:
        OSError: the kernel knows Landlock and refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return "files and connections (no Landlock here)"
    file_rights = _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)
    ports = allowed.connect_ports if version >= _NETWORK_VERSION else None
    network = 0 if ports is None else _BIND_TCP | _CONNECT_TCP
    scopes = _SCOPES if version >= _SIGNALS_VERSION else 0
    attributes = struct.pack("=QQQ", file_rights, network, scopes)[: _size(version)]
    ruleset = _call(libc, _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow_paths(libc, ruleset, allowed.read, _READ_FILE | _READ_FOLDER)
        _allow_paths(
            libc, ruleset, allowed.control, (_READ_FILE | _WRITE_FILE | _IOCTL) & file_rights
        )
        for port in ports or ():
            rule = struct.pack("=QQ", _CONNECT_TCP, port)
            _call(libc, _ADD_RULE, ruleset, _NET_PORT, rule, 0)
        _call(libc, _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    is_open = allowed.connect_ports is not None and ports is None
    return "connections (Landlock of a Linux older than 6.7)" if is_open else None


def _size(version: int) -> int:
    if version >= _SIGNALS_VERSION:
        return 24
    return 16 if version >= _NETWORK_VERSION else 8


def _allow_paths(libc: ctypes.CDLL, ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                of_kind = rights if path.is_dir() else rights & ~_READ_FOLDER
                rule = struct.pack("=Qi", of_kind, descriptor)
                _call(libc, _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)


def _call(libc: ctypes.CDLL, number: int, *values: int | bytes) -> int:
    done: int = libc.syscall(number, *values)
    if done < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return done
