#!/usr/bin/python3
"""An upgrade that can be taken back whole, at any moment, by whoever finds it unfinished.

Everything an upgrade changes outside its own release (the `current` link, configuration, units) is
written down and saved first: in `/opt/edge-reid/upgrade`, with `plan.json` written last. While that
file is there, the upgrade is unconfirmed. Confirming is removing it; taking back is putting all
that was saved in its place again, and then removing it. Both may be cut off and begun anew.

This file needs nothing but Python's standard library and no other file of ours: a copy of it in
`/opt/edge-reid` is what runs at boot, and before every start of an agent.

    journal.py [--root DIR]      # takes an abandoned upgrade back, if there is one
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

SCHEMA = "edge-reid.upgrade/1"
HOME = "opt/edge-reid"
MOST_CUTS = 2
"""A version whose upgrade was cut off so often may be the cause: it is not tried again unasked."""


@dataclass(frozen=True)
class Change:
    """A file, or a link, as it is to be; or that there is to be none."""

    path: Path
    body: bytes = b""
    link: str = ""
    """Where a link points to; then there is no body."""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    """uid and gid."""
    is_gone: bool = False


@dataclass(frozen=True)
class _Saved:
    """What was at a path before."""

    path: str
    saved_as: str = ""
    """Name of the copy in the journal; empty: there was nothing."""


@dataclass(frozen=True)
class Plan:
    """An upgrade under way."""

    before: str
    """The version that ran; empty at the first installation."""
    after: str
    saved: tuple[_Saved, ...]

    @property
    def switched_off(self) -> tuple[str, ...]:
        """Units that started at boot before, and may do so no more."""
        return tuple(Path(switch.path).name for switch in self._switches if switch.saved_as)

    @property
    def switched_on(self) -> tuple[str, ...]:
        """Units that did not start at boot before, and may do so now."""
        return tuple(Path(switch.path).name for switch in self._switches if not switch.saved_as)

    @property
    def _switches(self) -> list[_Saved]:
        return [saved for saved in self.saved if Path(saved.path).parent.suffix == ".wants"]

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)

    @classmethod
    def read(cls, path: Path) -> Plan | None:
        if not path.exists():
            return None
        table = json.loads(path.read_text(encoding="utf-8"))
        saved = tuple(_Saved(**entry) for entry in table["saved"])
        return cls(table["before"], table["after"], saved)


@dataclass(frozen=True)
class _Refusal:
    """A version that was taken back."""

    reason: str
    cuts: int
    at_utc_s: int


class Journal:
    """The upgrade of a device that is under way, if one is."""

    def __init__(self, root: Path) -> None:
        self._home = root / HOME
        self._folder = self._home / "upgrade"
        self._plan_file = self._folder / "plan.json"
        self._refused_file = self._home / "refused.json"
        self._current = self._home / "current"

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether nobody else is at work here; nobody else begins until the block is left."""
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @property
    def plan(self) -> Plan | None:
        """What is unconfirmed; None when nothing is."""
        return Plan.read(self._plan_file)

    def begin(self, before: str, after: str, changes: Sequence[Change]) -> None:
        """Save all that will change, `current` last. Nothing has changed yet."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        saved = tuple(self._save(change.path, str(n)) for n, change in enumerate(changes))
        os.sync()
        put(Change(self._plan_file, Plan(before, after, saved).to_json().encode(), mode=0o600))

    def confirm(self) -> None:
        """The upgrade is good; there is no way back to what was before."""
        self._close()

    def take_back(self, reason: str, *, is_its_fault: bool = True) -> Plan | None:
        """Put everything back as it was before; returns what was taken back.

        A first installation that got as far as `current` has nothing before it and stays.
        """
        plan = self.plan
        if plan and not plan.before and self._runs(plan.after):
            plan = None
        if plan:
            self._undo(plan)
            if plan.after != plan.before:
                self._refuse(plan.after, reason, is_its_fault=is_its_fault)
        os.sync()
        self._close()
        return plan

    def refused(self, version: str) -> str:
        """Why a version was taken back and is not to be tried again unasked; empty if it may be."""
        entry = self._read_refused().get(version)
        return entry.reason if entry and entry.cuts >= MOST_CUTS else ""

    def _undo(self, plan: Plan) -> None:
        """`current` first: then the new release is nobody's, and makes room for what follows."""
        current, *others = reversed(plan.saved)
        self._restore(current)
        doomed = self._home / "releases" / plan.after
        if plan.after != plan.before:
            shutil.rmtree(doomed, ignore_errors=True)
            others = [other for other in others if doomed not in Path(other.path).parents]
        for saved in others:
            self._restore(saved)

    def _runs(self, version: str) -> bool:
        return self._current.is_symlink() and self._current.readlink().name == version

    def _save(self, path: Path, name: str) -> _Saved:
        if not path.exists() and not path.is_symlink():
            return _Saved(str(path))
        copy = self._folder / name
        shutil.copy2(path, copy, follow_symlinks=False)
        owner = path.lstat()
        os.chown(copy, owner.st_uid, owner.st_gid, follow_symlinks=False)
        return _Saved(str(path), name)

    def _restore(self, saved: _Saved) -> None:
        path = Path(saved.path)
        if not saved.saved_as:
            path.unlink(missing_ok=True)
            return
        copy = self._folder / saved.saved_as
        link = str(copy.readlink()) if copy.is_symlink() else ""
        owner = copy.lstat()
        body = b"" if link else copy.read_bytes()
        mode = owner.st_mode & 0o777
        put(Change(path, body, link, mode=mode, owner=(owner.st_uid, owner.st_gid)))

    def _read_refused(self) -> dict[str, _Refusal]:
        if not self._refused_file.exists():
            return {}
        try:
            table = json.loads(self._refused_file.read_text(encoding="utf-8"))
            return {version: _Refusal(**entry) for version, entry in table.items()}
        except (ValueError, TypeError, AttributeError) as error:
            # whatever is wrong with it, an upgrade that is to be taken back must be
            sys.stderr.write(f"{self._refused_file}: is damaged ({error}); read as empty\n")
            return {}

    def _refuse(self, version: str, reason: str, *, is_its_fault: bool) -> None:
        refused = self._read_refused()
        before = refused[version].cuts if version in refused else 0
        cuts = MOST_CUTS if is_its_fault else min(MOST_CUTS, before + 1)
        refused[version] = _Refusal(reason, cuts, round(time.time()))
        table = {version: asdict(entry) for version, entry in refused.items()}
        put(Change(self._refused_file, json.dumps(table, indent=1).encode()))

    def _close(self) -> None:
        if self._folder.exists():
            self._plan_file.unlink(missing_ok=True)
            sync_folder(self._folder)
            shutil.rmtree(self._folder)


def put(change: Change) -> None:
    """Make a file or link be like that: whole or not at all, and for good."""
    if change.is_gone:
        change.path.unlink(missing_ok=True)
        sync_folder(change.path.parent)
        return
    change.path.parent.mkdir(parents=True, exist_ok=True)
    beside = change.path.with_name(f".{change.path.name}.new")
    beside.unlink(missing_ok=True)
    if change.link:
        beside.symlink_to(change.link)
    else:
        _write(beside, change)
    beside.replace(change.path)
    sync_folder(change.path.parent)


def _write(path: Path, change: Change) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(change.body)
        if os.getuid() == 0:
            os.fchown(file.fileno(), *change.owner)
        os.fchmod(file.fileno(), change.mode)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Names made or removed in it are on the disk afterwards."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> None:
    """Take back what nobody is at work on any more."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("/"))
    root = parser.parse_args().root
    journal = Journal(root)
    with journal.locked() as is_ours:
        if not is_ours:
            return  # an installer is at work, and will confirm or take back itself
        reason = "the upgrade was cut off before it was confirmed"
        plan = journal.take_back(reason, is_its_fault=False)
        if plan:
            back_to = plan.before or "no release"
            sys.stderr.write(f"edge-reid {plan.after}: {reason}; back to {back_to}\n")
            _tell_systemd(root, plan)


def _tell_systemd(root: Path, plan: Plan) -> None:
    """What was put back may be the units themselves, or what starts them, which at boot has been
    looked at already; and the agents of the old release need not wait for the failures of the new.
    """
    for count in root.glob("run/edge-reid/*/starts"):
        count.unlink(missing_ok=True)
    if (root / "run/systemd/system").is_dir():
        subprocess.run(["systemctl", "daemon-reload"], check=False)
        for verb, units in (("stop", plan.switched_on), ("start", plan.switched_off)):
            if units:
                subprocess.run(["systemctl", verb, "--no-block", *units], check=False)


if __name__ == "__main__":
    main()
