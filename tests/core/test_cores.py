"""Threads of an inference, from what the machine says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.cores import threads_for_inference


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def machine(root: Path, capacities: list[int], kind: str = "cpu_capacity") -> Path:
    for core, capacity in enumerate(capacities):
        file = root / f"sys/devices/system/cpu/cpu{core}" / kind
        file.parent.mkdir(parents=True)
        file.write_text(f"{capacity}\n")
    return root


def limit(root: Path, text: str) -> Path:
    file = root / "sys/fs/cgroup/cpu.max"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return root


@pytest.mark.parametrize("kind", ["cpu_capacity", "cpufreq/cpuinfo_max_freq"])
def test_the_slow_cores_of_two_kinds_are_left_out(tmp_path: Path, kind: str) -> None:
    assert threads_for_inference(machine(tmp_path, [400] * 6 + [1024] * 2, kind)) == 2


def test_cores_that_differ_a_little_are_of_one_kind(tmp_path: Path) -> None:
    assert threads_for_inference(machine(tmp_path, [1024, 980, 1000] + [400] * 5)) == 3


def test_more_than_four_gain_nothing(tmp_path: Path) -> None:
    assert threads_for_inference(tmp_path) == 4


@pytest.mark.parametrize(
    ("text", "threads"),
    [("150000 100000", 1), ("200000 100000", 2), ("50000 100000", 1), ("max 100000", 4)],
)
def test_a_container_gets_no_more_than_it_may_use(tmp_path: Path, text: str, threads: int) -> None:
    assert threads_for_inference(limit(tmp_path, text)) == threads


def test_so_does_one_of_the_first_kind(tmp_path: Path) -> None:
    folder = tmp_path / "sys/fs/cgroup/cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("300000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert threads_for_inference(tmp_path) == 3
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads_for_inference(tmp_path) == 4


def test_a_process_on_one_core_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert threads_for_inference(tmp_path) == 1


def test_it_is_what_a_configuration_without_threads_gets() -> None:
    assert ModelSettings().threads == threads_for_inference()
    assert ModelSettings(threads=3).threads == 3
