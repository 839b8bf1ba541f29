"""Which wheels a device gets: chosen by pip, for the device and not for the machine that asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support import small_wheels as wheels

from deploy.bundle.lock import Lock, choose, read_lock
from deploy.bundle.pip_run import pip_for
from deploy.bundle.wheel import check_closure, read_wheel
from deploy.bundle.wheelhouse import Wheelhouse
from deploy.site.targets import TARGETS
from edge_reid.core.errors import BundleError, UsageError

BOOKWORM = TARGETS["pi-bookworm"]
JETSON = TARGETS["jetson-jp6"]
MARKED = [str(Requirement(it)) for it in wheels.OURS if "extra" not in it]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = wheels.make_index(tmp_path / "index")
    wheels.take_wheels_from(folder, monkeypatch)
    return folder


def versions(lock: Lock) -> dict[str, str]:
    return {pin.name: pin.version for pin in lock.pins}


def test_markers_are_those_of_the_device(index: Path):
    """This test runs on some other Python and machine than at least one of the two."""
    there = {"ai-edge-litert": "2.3", "leaf": "1.0", "numbers-to-go": "2.4"}
    assert versions(choose(MARKED, BOOKWORM, "litert")) == there
    assert versions(choose(MARKED, JETSON, "litert")) == {**there, "oldtoml": "2.0"}


def test_a_wheel_that_does_not_exist_is_named(index: Path):
    with pytest.raises(BundleError) as caught:
        choose(["numbers-to-go", "tflite-runtime>=2.14"], TARGETS["pi-trixie"], "litert")
    assert str(caught.value).startswith(
        "wheels: expected a wheel of tflite-runtime>=2.14 for Python 3.13 on aarch64 (pi-trixie), "
        "there is none; choose another target"
    )


def test_what_does_not_go_together_is_named(index: Path):
    wheels.make_wheel(index, "picky", "1.0", requires=["numbers-to-go<2"])
    with pytest.raises(BundleError, match="picky.* do not go together"):
        choose(["picky", "numbers-to-go>=2"], BOOKWORM, "litert")


def test_an_index_that_is_away_is_not_a_missing_wheel(index: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(BundleError, match="the package index cannot be reached; go online once"):
        choose(["something-else"], BOOKWORM, "litert")


def test_a_lock_is_what_pip_reads_too(index: Path, tmp_path: Path):
    lock = choose(MARKED, BOOKWORM, "litert")
    path = tmp_path / "device.lock"
    path.write_text(lock.text)
    assert read_lock(path, BOOKWORM, "litert") == lock
    words = ("download", "--no-deps", "--require-hashes", "--dest", str(tmp_path / "got"))
    pip_for(BOOKWORM, (*words, "--requirement", str(path)))
    assert len(list((tmp_path / "got").glob("*.whl"))) == 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected '# edge-reid: wheels for pi-bookworm with litert', got ''"),
        ("# edge-reid: wheels for jetson-jp6 with litert\n", "got '# edge-reid: wheels for jetson"),
        ("# edge-reid: wheels for pi-bookworm with litert\nnumpy\n", "got 'numpy'"),
    ],
)
def test_another_lock_is_refused(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "device.lock"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_lock(path, BOOKWORM, "litert")
    assert complaint in str(caught.value)


def test_what_was_fetched_once_needs_no_index(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lock = choose(MARKED, BOOKWORM, "litert")
    house = Wheelhouse(tmp_path / "cache")
    counted: list[tuple[int, int | None]] = []
    first = house.fetch(lock, BOOKWORM, lambda *step: counted.append(step))
    assert counted == [(1, 3), (2, 3), (3, 3)]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    again = house.fetch(lock, BOOKWORM)
    assert [it.path.read_bytes() for it in again] == [it.path.read_bytes() for it in first]


def test_a_kept_wheel_that_was_damaged_is_fetched_again(index: Path, tmp_path: Path):
    lock = choose(["leaf"], BOOKWORM, "litert")
    house = Wheelhouse(tmp_path / "cache")
    (wheel,) = house.fetch(lock, BOOKWORM)
    good = wheel.path.read_bytes()
    wheel.path.write_bytes(good[:-1])
    (again,) = house.fetch(lock, BOOKWORM)
    assert again.path.read_bytes() == good


def test_a_wheel_that_is_not_the_locked_one_is_refused(index: Path, tmp_path: Path):
    lock = choose(["leaf"], BOOKWORM, "litert")
    wheels.make_wheel(index, "leaf", "1.0", more=["License-Expression: GPL-3.0-only"])
    with pytest.raises(BundleError, match="is not the one that the lock file names"):
        Wheelhouse(tmp_path / "cache").fetch(lock, BOOKWORM)


def of(make: Callable[..., Path], folder: Path, name: str, **options: object):
    return read_wheel(make(folder, name, "1.0", **options))


def test_a_choice_with_a_gap_or_for_another_machine_is_caught(tmp_path: Path):
    """Whatever pip does: this check needs nothing of it."""
    needs = of(wheels.make_wheel, tmp_path, "needs", requires=["leaf>=1", "x; extra == 'y'"])
    leaf = of(wheels.make_wheel, tmp_path, "leaf")
    check_closure([needs, leaf], BOOKWORM, frozenset())
    check_closure([needs], BOOKWORM, frozenset({"leaf"}))
    with pytest.raises(BundleError, match="needs 1.0 needs leaf>=1, and there is none; delete"):
        check_closure([needs], BOOKWORM, frozenset())
    foreign = of(wheels.make_wheel, tmp_path, "foreign", tag="cp311-cp311-manylinux_2_17_x86_64")
    with pytest.raises(BundleError, match="expected one for Python 3.11 on aarch64"):
        check_closure([foreign], BOOKWORM, frozenset())
    check_closure([foreign], TARGETS["debian-x86"], frozenset())
    young = of(wheels.make_wheel, tmp_path, "young", more=["Requires-Python: >=3.12"])
    with pytest.raises(BundleError, match="young-1.0"):
        check_closure([young], BOOKWORM, frozenset())


@pytest.mark.parametrize("tag", ["manylinux_2_35", "manylinux_2_36", "manylinux_2_40"])
def test_a_wheel_for_a_newer_system_does_not_run_on_an_older(tmp_path: Path, tag: str):
    wheel = of(wheels.make_wheel, tmp_path, "x", tag=f"cp37-abi3-{tag}_aarch64")
    glibc = int(tag.rpartition("_")[2])
    for name in ("jetson-jp6", "pi-bookworm", "pi-trixie"):
        assert wheel.runs_on(TARGETS[name]) == (TARGETS[name].glibc_minor >= glibc)


@pytest.mark.parametrize("body", [b"", b"no zip", None])
def test_what_is_no_wheel_is_said(tmp_path: Path, body: bytes | None):
    path = tmp_path / "edge_reid-1.0-py3-none-any.whl"
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(BundleError, match="expected a wheel|cannot be read"):
        read_wheel(path)
