"""A cable between this machine and a network of its own, to be pulled out (Linux, as root)."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

_NUMBERS = itertools.count(1)


class NetworkCable:
    """Makes a network namespace. `here` is our address on the cable; programs that start with
    `prefix` are at its other end, and reach nothing but us. `with` takes all away again.
    """

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self._namespace = f"edge-reid-{os.getpid()}-{number}"
        self._ours, self._theirs = f"er{os.getpid()}o{number}", f"er{os.getpid()}t{number}"
        block = f"10.{200 + os.getpid() % 50}.{number % 250}"
        self.here, self._there = f"{block}.1", f"{block}.2"
        self.prefix = ("ip", "netns", "exec", self._namespace)

    @staticmethod
    def is_possible() -> bool:
        """Whether this machine lets us make one."""
        if os.getuid() != 0 or shutil.which("ip") is None:
            return False
        name = f"edge-reid-{os.getpid()}-try"
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        return made.returncode == 0

    def __enter__(self) -> NetworkCable:
        _ip("netns", "add", self._namespace)
        try:
            _ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs)
            _ip("link", "set", self._theirs, "netns", self._namespace)
            _ip("address", "add", f"{self.here}/30", "dev", self._ours)
            _ip("link", "set", self._ours, "up")
            for words in (
                ("address", "add", f"{self._there}/30", "dev", self._theirs),
                ("link", "set", self._theirs, "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", self._namespace, *words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "link", "del", self._ours], capture_output=True, check=False)
        _ip("netns", "del", self._namespace)

    def pull(self) -> None:
        """From now on nothing passes, and nobody is told."""
        _ip("link", "set", self._ours, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self._ours, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
