"""An upgrade that stops at any point can be taken back whole, and taking back can stop as well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import real_bundles

with pytest.MonkeyPatch.context() as patch:  # for this file only: an `install` is there as well
    patch.syspath_prepend(real_bundles.DEPLOY / "install")
    import journal as module
    from journal import Change, Journal

OWNER = (os.getuid(), os.getgid())


class PowerCut(BaseException):
    """Not an Exception: nothing may handle it."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A device that runs 1.0."""
    for version in ("1.0", "1.1"):
        (tmp_path / "opt/edge-reid/releases" / version).mkdir(parents=True)
        (tmp_path / "opt/edge-reid/releases" / version / "manifest.json").write_text("as built")
    (tmp_path / "opt/edge-reid/current").symlink_to("releases/1.0")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/gate.toml").write_text("of 1.0")
    (tmp_path / "etc/gate.toml").chmod(0o640)
    (tmp_path / "etc/key").write_text("of 1.0")
    (tmp_path / "etc/old.crt").write_text("of 1.0")
    (tmp_path / "etc/all.wants").mkdir()
    (tmp_path / "etc/all.wants/old.service").symlink_to("../old.service")
    return tmp_path


def upgrade(root: Path) -> list[Change]:
    return [
        Change(root / "etc/gate.toml", b"of 1.1", mode=0o644, owner=OWNER),
        Change(root / "etc/key", b"of 1.1", owner=OWNER),
        Change(root / "etc/new.service", b"of 1.1", owner=OWNER),
        Change(root / "etc/old.crt", is_gone=True),
        Change(root / "etc/all.wants/old.service", is_gone=True),
        Change(root / "etc/all.wants/new.service", link="../new.service"),
        Change(root / "opt/edge-reid/releases/1.1/manifest.json", b"of 1.1", owner=OWNER),
        Change(root / "opt/edge-reid/current", link="releases/1.1"),
    ]


def as_it_is(root: Path) -> dict[str, str]:
    paths = [*(root / "etc").rglob("*")]
    links = {it.name: str(it.readlink()) for it in paths if it.is_symlink()}
    files = [it for it in paths if it.is_file() and it.name not in links]
    etc = {it.name: f"{it.read_text()} {it.stat().st_mode:o}" for it in files}
    return etc | links | {"current": str((root / "opt/edge-reid/current").readlink())}


@pytest.mark.parametrize("done", range(9))
def test_what_was_cut_off_is_as_before(root: Path, done: int) -> None:
    before = as_it_is(root)
    changes = upgrade(root)
    Journal(root).begin("1.0", "1.1", changes)
    for change in changes[:done]:
        module.put(change)
    plan = Journal(root).take_back("the power went", is_its_fault=False)
    assert plan is not None
    assert as_it_is(root) == before
    assert not (root / "opt/edge-reid/upgrade").exists()
    assert not (root / "opt/edge-reid/releases/1.1").exists()


@pytest.mark.parametrize("done", range(6))
def test_taking_back_that_was_cut_off_is_done_again(
    root: Path, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = as_it_is(root)
    Journal(root).begin("1.0", "1.1", upgrade(root))
    for change in upgrade(root):
        module.put(change)
    left = iter(range(done))
    put = module.put

    def put_or_die(change: Change) -> None:
        if next(left, None) is None:
            raise PowerCut
        put(change)

    monkeypatch.setattr(module, "put", put_or_die)
    with pytest.raises(PowerCut):
        Journal(root).take_back("the power went")
    monkeypatch.undo()
    Journal(root).take_back("the power went")
    assert as_it_is(root) == before


def test_a_journal_that_was_never_finished_is_cleared_away(root: Path) -> None:
    (root / "opt/edge-reid/upgrade").mkdir()
    (root / "opt/edge-reid/upgrade/0").write_text("a key")
    assert Journal(root).take_back("the power went") is None
    assert not (root / "opt/edge-reid/upgrade").exists()


def test_confirmed_is_confirmed(root: Path) -> None:
    Journal(root).begin("1.0", "1.1", upgrade(root))
    for change in upgrade(root):
        module.put(change)
    Journal(root).confirm()
    after = as_it_is(root)
    assert Journal(root).take_back("too late") is None
    assert as_it_is(root) == after
    assert after["current"] == "releases/1.1"
    assert {"old.crt", "old.service"}.isdisjoint(after)


def test_a_first_installation_that_runs_stays(root: Path) -> None:
    Journal(root).begin("", "1.1", upgrade(root))
    for change in upgrade(root):
        module.put(change)
    Journal(root).take_back("the power went", is_its_fault=False)
    assert as_it_is(root)["current"] == "releases/1.1"
    assert not (root / "opt/edge-reid/upgrade").exists()


def test_a_version_is_refused_for_its_own_faults_or_two_power_cuts(root: Path) -> None:
    for version, is_its_fault, refused in (
        ("1.1", False, ""),
        ("1.1", False, "why"),
        ("1.2", True, "why"),
    ):
        Journal(root).begin("1.0", version, upgrade(root))
        Journal(root).take_back("why", is_its_fault=is_its_fault)
        assert Journal(root).refused(version) == refused


@pytest.mark.parametrize("spoilt", ["", '{"1.0": {"reas', "[]", '{"1.0": 3}', "\0" * 40])
def test_a_spoilt_list_of_refusals_keeps_nothing_from_being_taken_back(
    root: Path, spoilt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "opt/edge-reid/refused.json").write_text(spoilt)
    before = as_it_is(root)
    Journal(root).begin("1.0", "1.1", upgrade(root))
    for change in upgrade(root):
        module.put(change)
    Journal(root).take_back("why")
    assert as_it_is(root) == before
    assert capsys.readouterr().err.count("refused.json: ") == 1
    assert Journal(root).refused("1.1") == "why"
    assert capsys.readouterr().err == ""


def test_at_boot_systemd_is_told_only_when_something_was_taken_back(root: Path) -> None:
    (root / "run/systemd/system").mkdir(parents=True)
    starts = root / "run/edge-reid/gate/starts"
    starts.parent.mkdir(parents=True)
    starts.write_text("3")
    told = root / "told"
    (root / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{told}\n')
    (root / "systemctl").chmod(0o755)
    guard = [sys.executable, "-I", module.__file__, "--root", root]
    environment = {"PATH": f"{root}:/usr/bin:/bin"}
    subprocess.run(guard, check=True, env=environment)
    assert (starts.exists(), told.exists()) == (True, False)
    Journal(root).begin("1.0", "1.1", upgrade(root))
    subprocess.run(guard, check=True, env=environment)
    assert not starts.exists()
    assert told.read_text().splitlines() == [
        *("daemon-reload", "stop --no-block new.service", "start --no-block old.service")
    ]


def test_one_at_a_time(root: Path) -> None:
    with Journal(root).locked() as first, Journal(root).locked() as second:
        assert (first, second) == (True, False)
    with Journal(root).locked() as again:
        assert again
