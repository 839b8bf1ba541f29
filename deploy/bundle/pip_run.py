"""Runs of pip, and what they complain of in our words."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from deploy.site.targets import Target
from edge_reid.core.errors import BundleError
from edge_reid.core.progress import Progress, no_progress

_UNREACHABLE = re.compile(r"Retrying \(|Max retries exceeded|NewConnectionError|ProxyError")
_NO_WHEEL = re.compile(r"No matching distribution found for (.+?)(?: \(from .*)?$", re.MULTILINE)
_CONFLICT = re.compile(r"Cannot install (.+?) because", re.MULTILINE)
_OTHER_HASH = "DO NOT MATCH THE HASHES"


def pip_for(target: Target, words: Iterable[str], progress: Progress = no_progress) -> None:
    """Run pip as if on a target.

    Args:
        target: whose wheels and markers count.
        words: the verb and what follows it.
        progress: told how many packages it has looked at.

    Raises:
        BundleError: pip failed; says which package, and why.
    """
    said = _run(["-m", "deploy.bundle.target_pip", target.name, *words], {}, progress)
    if said is not None:
        raise _explained(said, target)


def build_wheel(checkout: Path, folder: Path, source_date_epoch_s: int) -> None:
    """Build the wheel of a checkout into a folder, without an index.

    Raises:
        BundleError: it cannot be built.
    """
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    dated = {"SOURCE_DATE_EPOCH": str(source_date_epoch_s)}
    said = _run(["-m", "pip", "wheel", *options, str(checkout)], dated, no_progress)
    if said is not None:
        raise BundleError(f"wheel of {checkout}: cannot be built: {_last_error(said)}")


def _run(words: list[str], more: dict[str, str], progress: Progress) -> str | None:
    """What it said, if it failed."""
    if importlib.util.find_spec("pip") is None:
        raise BundleError(
            f"wheels: expected pip in {sys.prefix}, got none; run python -m ensurepip there"
        )
    paths = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": paths, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    lines, count = [], 0
    with subprocess.Popen(  # noqa: S603 - the Python that runs this
        [sys.executable, *words],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith(("Collecting ", "Processing ")):
                count += 1
                progress(count, None)
    return "".join(lines) if process.returncode else None


def _explained(said: str, target: Target) -> BundleError:
    where = f"Python {target.python} on {target.machine} ({target.name})"
    if _UNREACHABLE.search(said):
        return BundleError(
            "wheels: the package index cannot be reached; go online once, "
            "later builds with the same lock file need no network"
        )
    if found := _NO_WHEEL.search(said):
        return BundleError(
            f"wheels: expected a wheel of {found[1]} for {where}, there is none; "
            "choose another target, or add a folder that has one with PIP_FIND_LINKS"
        )
    if found := _CONFLICT.search(said):
        return BundleError(f"wheels for {where}: {found[1]} do not go together")
    if _OTHER_HASH in said:
        return BundleError(
            "wheels: a downloaded wheel is not the one that the lock file names; "
            "do not use it, or delete the lock file to choose anew"
        )
    return BundleError(f"wheels for {where}: pip failed: {_last_error(said)}")


def _last_error(said: str) -> str:
    lines = said.strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines)[-1].strip()
