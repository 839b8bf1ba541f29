"""One start of an agent: which process on which machine it is, and whether it may still run.

An outbox says who went online from it last, by an id that is drawn at every start. Where it was
copied while its agent ran, with the whole card say, that is somebody else, alive. So the mark of a
process stands beside its id, and the id is ours only if that process was of this machine and has
ended.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

_NETWORK = Path("/sys/class/net")
_SERIAL_FILES = (Path("/proc/device-tree/serial-number"), Path("/sys/class/dmi/id/board_serial"))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STARTED_FIELD = 19
"""Of /proc/PID/stat behind the name: clock ticks from the boot to the start."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A process on a machine. A part that the system does not know is empty."""

    machine: str
    boot: str
    """A boot of it, and the process ids that count in it: a container has its own."""
    process: str

    @classmethod
    def ours(cls) -> Instance:
        return cls(_machine(), _boot(), _process(os.getpid()))

    @classmethod
    def of_mark(cls, mark: str) -> Instance | None:
        """What an outbox has noted; None: it was written by an older edge-reid."""
        parts = mark.split(".")
        return cls(*parts) if len(parts) == len(cls.__slots__) else None

    @property
    def mark(self) -> str:
        """For an outbox."""
        return f"{self.machine}.{self.boot}.{self.process}"

    @property
    def has_ended(self) -> bool:
        """Whether it ran on this machine and runs no more; False as well where nobody can tell."""
        here = Instance.ours()
        if self.machine != here.machine:
            return False
        return self.boot != here.boot or not self._runs

    @property
    def _runs(self) -> bool:
        pid = self.process.partition("-")[0]
        return not pid.isdigit() or _process(int(pid)) == self.process


def noted(instance_id: str, instance: Instance) -> str:
    """What an outbox keeps of who goes online."""
    return f"{instance_id} {instance.mark}"


def former_instance(note: str) -> str:
    """The id of our last start; empty if there was none, or that process may still run."""
    instance_id, _, mark = note.partition(" ")
    instance = Instance.of_mark(mark)
    return instance_id if instance is None or instance.has_ended else ""


def _machine() -> str:
    """Of its hardware, in few bits: enough to distinguish two."""
    serial = next(filter(None, map(_text, _SERIAL_FILES)), "")
    found = serial or " ".join(sorted(_hardware_addresses())) or f"{uuid.getnode():x}"
    return hashlib.sha256(found.encode()).hexdigest()[:8]


def _hardware_addresses() -> list[str]:
    """Of network interfaces that are devices: those that software makes change with every boot."""
    if not _NETWORK.is_dir():
        return []
    links = [link for link in _NETWORK.iterdir() if (link / "device").exists()]
    return [_text(link / "address") for link in links]


def _boot() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{_text(_BOOT_ID)[:8]}-{namespace:x}"


def _process(pid: int) -> str:
    """Empty if there is none."""
    stat = _text(Path(f"/proc/{pid}/stat"))
    if stat:
        return f"{pid}-{stat.rpartition(')')[2].split()[_STARTED_FIELD]}"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return f"{pid}-"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
