"""The lock file of a bundle: exactly which wheels, in pip's own form (`name==version --hash=…`).

With it the same bundle is made again, today or next year; without it pip chooses, and it is
written.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from deploy.bundle.pip_run import pip_for
from deploy.site.targets import RuntimeChoice, Target
from edge_reid.core.errors import BundleError, UsageError
from edge_reid.core.progress import Progress, no_progress
from edge_reid.core.text_file import read_text_file

_PIN = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One wheel."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Lock:
    """The wheels that edge-reid needs on a kind of device, itself left out."""

    target: str
    runtime: RuntimeChoice
    pins: tuple[Pin, ...]

    @property
    def text(self) -> str:
        """The file."""
        return "\n".join((_head(self.target, self.runtime), *map(str, sorted(self.pins)), ""))


def read_lock(path: Path, target: Target, runtime: RuntimeChoice) -> Lock:
    """The lock of a file.

    Raises:
        UsageError: it cannot be read, is none, or is for another target or runtime.
    """
    try:
        first, *lines = read_text_file(path).splitlines() or [""]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"lock {path}: cannot be read: {error}") from error
    if first != _head(target.name, runtime):
        raise UsageError(
            f"lock {path}: expected {_head(target.name, runtime)!r}, got {first!r}; "
            "give another --lock, or delete it to choose anew"
        )
    found = [_PIN.fullmatch(line) for line in lines]
    if wrong := [line for line, match in zip(lines, found, strict=True) if match is None]:
        raise UsageError(f"lock {path}: expected name==version --hash=sha256:…, got {wrong[0]!r}")
    pins = tuple(Pin(*match.groups()) for match in found if match)
    return Lock(target.name, runtime, pins)


def choose(
    requirements: Iterable[str],
    target: Target,
    runtime: RuntimeChoice,
    progress: Progress = no_progress,
) -> Lock:
    """What pip chooses for a target; `progress` is told the packages that it has looked at.

    Raises:
        BundleError: there is no choice, or the index cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ("install", "--dry-run", "--ignore-installed", "--report", str(report))
        pip_for(target, (*words, *requirements), progress)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return Lock(target.name, runtime, tuple(sorted(map(_pin, found))))


def _pin(item: dict[str, Any]) -> Pin:
    metadata = item["metadata"]
    name = canonicalize_name(metadata["name"])
    digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
    if digest is None:
        raise BundleError(f"wheels: the index has no SHA-256 of {name}; use one that does")
    return Pin(name, metadata["version"], digest)


def _head(target: str, runtime: str) -> str:
    return f"# edge-reid: wheels for {target} with {runtime}"
