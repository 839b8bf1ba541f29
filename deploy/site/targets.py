"""The kinds of device there are: which Python they have, and which wheels run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from packaging.tags import Tag, compatible_tags, cpython_tags

TargetName = Literal["pi-bookworm", "pi-trixie", "jetson-jp6", "debian-x86"]
RuntimeChoice = Literal["litert", "tflite-runtime"]

_OLDEST_GLIBC = 17
"""Of manylinux2014; every wheel for an older one also says so."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of device, as its system comes."""

    name: TargetName
    machine: str
    """As `platform.machine()` there."""
    python: str
    glibc_minor: int
    """glibc is 2.this."""

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of wheels, best first."""
        newest_first = range(self.glibc_minor, _OLDEST_GLIBC - 1, -1)
        return (
            *(f"manylinux_2_{minor}_{self.machine}" for minor in newest_first),
            f"manylinux2014_{self.machine}",
            f"linux_{self.machine}",
        )

    @property
    def abis(self) -> tuple[str, ...]:
        """ABI tags of wheels, best first."""
        return (f"cp{self.python.replace('.', '')}", "abi3", "none")

    @property
    def tags(self) -> frozenset[Tag]:
        """Of all wheels that run there."""
        version = tuple(map(int, self.python.split(".")))
        platforms = self.platforms
        return frozenset(
            (
                *cpython_tags(version, self.abis[:1], platforms),
                *compatible_tags(version, self.abis[0], platforms),
            )
        )

    @property
    def environment(self) -> dict[str, str]:
        """What environment markers (PEP 508) see there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def runtimes(self) -> tuple[RuntimeChoice, ...]:
        """tflite-runtime ends at Python 3.11."""
        has_both = tuple(map(int, self.python.split("."))) < (3, 12)
        return ("litert", "tflite-runtime") if has_both else ("litert",)


TARGETS: dict[TargetName, Target] = {
    target.name: target
    for target in (
        Target("pi-bookworm", "aarch64", "3.11", 36),
        Target("pi-trixie", "aarch64", "3.13", 41),
        Target("jetson-jp6", "aarch64", "3.10", 35),
        Target("debian-x86", "x86_64", "3.11", 36),
    )
}
