"""Galleries of agents whose cameras another agent watches from now on.

Where the agents of a device's cameras become one, or one becomes several, who is enrolled stays
enrolled: a new agent without a gallery gets that of the agents before it; one that has a gallery,
being called like one of before, keeps that, and whom it does not know is told. What is taken back
takes the copy back as well. Once the upgrade is confirmed, copies of a published gallery that no
agent keeps up to date any more are removed: nobody would erase people from them. Which these are is
noted before, so that the next installer removes what one that was killed has left.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from device_paths import Account, DevicePaths
from install_errors import InstallError
from install_progress import Steps
from journal import Change, put
from unpacked_bundle import UnpackedBundle

REPLICA_APPLICATION_ID = 0x65527043
"""In SQLite's header of the copy of a published gallery; people are enrolled into other ones."""
_CAMERA = re.compile(
    r"""^\s*(?:camera\s*=\s*["']([a-z0-9_-]+)["']   # the only one
        |\[?\s*cameras\s*\.\s*["']?([a-z0-9_-]+))    # a table, or a key of it""",
    re.MULTILINE | re.VERBOSE,
)
_PARTS = ("", "-wal", "-shm", "-journal")
"""Files that SQLite makes of one database."""


@dataclass(frozen=True)
class _Heir:
    """A gallery that is to be, and those it is made of."""

    gallery: Path
    before: tuple[Path, ...]
    """The one that was written last is the first."""


@dataclass(frozen=True)
class Inheritance:
    """All galleries of a device that are to be made of others."""

    plans: tuple[_Heir, ...]
    kept: tuple[_Heir, ...]
    """Galleries that are there already, as of an agent that is called like one of before."""
    device: DevicePaths

    @classmethod
    def of(cls, bundle: UnpackedBundle, device: DevicePaths) -> Inheritance:
        """By the cameras of the agents that a bundle brings, and of those that are there."""
        there = {agent: device.config / f"{agent}.toml" for agent in device.agents}
        wanted = {config.stem: config for config in bundle.configs(device.name)}
        plans: list[_Heir] = []
        kept: list[_Heir] = []
        for agent, config in sorted(wanted.items()):
            cameras = cameras_in(config)
            before = [
                device.gallery(other)
                for other, its in there.items()
                if other not in wanted and cameras & cameras_in(its)
            ]
            known = sorted((file for file in before if file.exists()), key=_age)
            if known:
                its_own = device.gallery(agent)
                (kept if its_own.exists() else plans).append(_Heir(its_own, tuple(known)))
        return cls(tuple(plans), tuple(kept), device)

    @property
    def heirs(self) -> frozenset[Path]:
        """The galleries that are to be made."""
        return frozenset(plan.gallery for plan in self.plans)

    @property
    def traces(self) -> list[Change]:
        """Files that come to be: not to be put, but to be taken back."""
        return [
            *(
                Change(plan.gallery.with_name(plan.gallery.name + part))
                for plan in self.plans
                for part in _PARTS
            ),
            *([Change(self.device.replaced_galleries)] if self.plans or self.kept else []),
        ]

    def bring(self, release: Path, account: Account, steps: Steps) -> None:
        """Make the galleries.

        Args:
            release: whose programs join several galleries.
            account: that they are to belong to.
            steps: told what is done.

        Raises:
            InstallError: one cannot be read, or several cannot be joined.
        """
        for plan in self.plans:
            newest, *others = plan.before
            _copy(newest, plan.gallery, account)
            for other in filter(_is_of_its_own, others) if _is_of_its_own(newest) else ():
                _join(other, plan.gallery, release / "bin/edge-reid", account)
            names = ", ".join(file.name for file in plan.before)
            steps.say(f"{plan.gallery.name}: has who is enrolled in {names}")

    def note_replaced(self) -> None:
        """Write down the galleries that no agent has any more, before the upgrade is confirmed."""
        in_use = {self.device.gallery(agent) for agent in self.device.agents}
        before = {file for plan in (*self.plans, *self.kept) for file in plan.before}
        if names := sorted(file.name for file in before - in_use):
            put(Change(self.device.replaced_galleries, "\n".join(names).encode()))

    def retire(self, steps: Steps) -> None:
        """Remove those of them that are copies. The upgrade is good by now, so that a file which
        cannot be read is only told of.
        """
        for file in replaced_galleries(self.device):
            steps.say(self._retired(file))
        self.device.replaced_galleries.unlink(missing_ok=True)

    def _retired(self, file: Path) -> str:
        """What became of a gallery, in words."""
        try:
            if is_replica(file):
                for part in _PARTS:
                    _overwrite_and_remove(file.with_name(file.name + part))
                return f"{file.name}: removed, no agent keeps it up to date any more"
        except InstallError as error:
            return str(error)
        others = [plan.gallery.name for plan in self.kept if file in plan.before]
        remedy = "join them with edge-reid gallery export, and gallery import --skip-known"
        return f"{file.name}: stays" + "".join(
            f"; {other} knows nobody who is enrolled only there: {remedy}" for other in others
        )


def retire_left(device: DevicePaths, steps: Steps) -> None:
    """Remove what an installer that was killed has not come to remove any more."""
    Inheritance((), (), device).retire(steps)


def replaced_galleries(device: DevicePaths) -> list[Path]:
    """Those noted that are there still, and still no agent's."""
    if not device.replaced_galleries.exists():
        return []
    in_use = {device.gallery(agent) for agent in device.agents}
    noted = [device.state / name for name in device.replaced_galleries.read_text().splitlines()]
    return [file for file in noted if file.exists() and file not in in_use]


def cameras_in(config: Path) -> frozenset[str]:
    """Cameras that a configuration names; by its text, as Python 3.10 reads no TOML."""
    text = config.read_text("utf-8-sig", errors="replace")
    return frozenset(match[1] or match[2] for match in _CAMERA.finditer(text))


def is_replica(gallery: Path) -> bool:
    """Whether a file is the copy of a published gallery.

    Raises:
        InstallError: it is no gallery.
    """
    try:
        with closing(_read_only(gallery)) as db:
            (found,) = db.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error as error:
        raise InstallError(
            f"{gallery}: expected a gallery, got: {error}; remove it, or restore it from a copy"
        ) from error
    return bool(found == REPLICA_APPLICATION_ID)


def _is_of_its_own(gallery: Path) -> bool:
    return not is_replica(gallery)


def _age(gallery: Path) -> float:
    """For sorting: what was written last comes first."""
    log = gallery.with_name(f"{gallery.name}-wal")
    return -max(file.stat().st_mtime for file in (gallery, log) if file.exists())


def _read_only(gallery: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{gallery.resolve().as_uri()}?mode=ro", uri=True)


def _copy(gallery: Path, copy: Path, account: Account) -> None:
    """Whole, whoever has it open meanwhile."""
    try:
        copy.touch(mode=0o600)
        with (
            closing(_read_only(gallery)) as source,
            closing(sqlite3.connect(copy)) as to,
        ):
            source.backup(to)
            to.execute("PRAGMA journal_mode = DELETE")
        account.owns(copy)
    except sqlite3.Error as error:
        raise InstallError(f"{gallery}: cannot be copied: {error}; check the disk") from error


def _join(gallery: Path, into: Path, program: Path, account: Account) -> None:
    with tempfile.TemporaryDirectory(prefix="edge-reid-") as name:
        folder = Path(name)
        account.owns(folder)
        exported = str(folder / "people.jsonl")
        _run([program, "gallery", "export", exported, "--gallery", gallery], account)
        _run([program, "gallery", "import", exported, "--gallery", into, "--skip-known"], account)


def _run(words: list[Path | str], account: Account) -> None:
    done = subprocess.run(
        account.run_as([str(word) for word in words]), capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise InstallError(f"galleries cannot be joined: {lines[-1].removeprefix('error: ')}")


def _overwrite_and_remove(file: Path) -> None:
    if not file.exists():
        return
    with file.open("r+b") as written:
        written.write(bytes(file.stat().st_size))
        written.flush()
        os.fsync(written.fileno())
    file.unlink()
