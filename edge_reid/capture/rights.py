"""What a decoder gives up before it reads a byte of a camera.

A stream can be made to take a decoder over. Then this is what is left to it: the picture it is
trusted with, its camera, and CPU time.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import site
import sys
from dataclasses import dataclass
from pathlib import Path

from edge_reid.capture.landlock import Allowed, restrict

MAX_ADDRESS_BYTES = 3 << 30
"""Libraries and the shared slots are about 1 GB of it, that take no memory."""
MAX_DESCRIPTORS = 64
_OOM_SCORE = "500"
"""A decoder is started again; an agent that goes takes all cameras with it."""
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 1, 4, 38
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/localtime", "/usr/share/ca-certificates", "/etc/ssl/certs"),
    *("/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/pki/ca-trust", "/etc/pki/tls/certs"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"),
    *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/etc/protocols"),
    *("/etc/services", "/dev/null", "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/sys/devices"),
)
"""What Python, its libraries and the resolver read."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a camera takes beyond what every decoder needs."""

    ports: tuple[int, ...] | None = ()
    """TCP; None: any, for a camera that may send us on."""
    devices: tuple[str, ...] = ()
    """Files under `/dev`, or folders of them."""
    files: tuple[str, ...] = ()
    is_confined: bool = True
    """False: files are not looked at, as a pipeline may need any."""


def die_with_parent(parent: int) -> None:
    """End with the agent, however it ends, and before it where memory runs out; elsewhere than on
    Linux its pipe says so.
    """
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before this took effect
            os.kill(os.getpid(), signal.SIGKILL)


def give_up_rights(needs: Needs) -> str | None:
    """Keep only what the camera needs: in this thread, and in those that it starts.

    Returns:
        What could not be enforced here, for people; None: all of it is.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, MAX_DESCRIPTORS)
    if sys.platform != "linux":
        return "files and connections (this is not Linux)"
    _limit(resource.RLIMIT_AS, MAX_ADDRESS_BYTES)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _prctl(_SET_DUMPABLE, 0)
    if not needs.is_confined:
        return "files and connections (a pipeline may need any)"
    allowed = Allowed(
        read=(*map(Path, (*_SYSTEM, *_python(), *needs.files)),),
        control=(*map(Path, needs.devices),),
        connect_ports=needs.ports,
    )
    try:
        return restrict(allowed)
    except OSError as error:
        return f"files and connections ({error.strerror})"


def _python() -> list[str]:
    """Where the interpreter and what it imports lie; not where it was started."""
    package = str(Path(__file__).parents[1])
    return [sys.prefix, sys.base_prefix, package, *site.getsitepackages()]


def _limit(which: int, most: int) -> None:
    _, hardest = resource.getrlimit(which)
    if hardest != resource.RLIM_INFINITY:
        most = min(most, hardest)
    resource.setrlimit(which, (most, most))


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
