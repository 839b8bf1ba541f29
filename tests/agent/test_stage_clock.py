"""Times of stages: an agent that runs for years keeps counts, not durations."""

from __future__ import annotations

import time
import tracemalloc

from edge_reid.agent.metrics import StageClock


def timed(clock: StageClock, runs: int) -> None:
    for _ in range(runs):
        with clock.stage("detect"):
            pass


def test_an_agent_of_years_keeps_no_durations() -> None:
    clock = StageClock()
    timed(clock, 10)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    timed(clock, 20_000)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4096, "20,000 numbers would be 600 kB"
    assert sum(clock.seconds["detect"].counts) == 20_010
    assert clock.summary() == ()


def test_a_benchmark_keeps_the_newest() -> None:
    clock = StageClock(keep=100)
    timed(clock, 250)
    (row,) = clock.summary()
    assert (row.name, row.runs) == ("detect", 100)
    assert row.p50_ms <= row.p95_ms
    assert sum(clock.seconds["detect"].counts) == 250


def test_a_stage_within_another_counts_on_its_own() -> None:
    clock = StageClock(keep=10)
    with clock.stage("track"):
        for _ in range(2):
            with clock.stage("embed"):
                time.sleep(0.05)
    ms = {row.name: row.total_ms for row in clock.summary()}
    assert ms["embed"] >= 100 > ms["track"]
    timed(clock, 1)
    assert clock.summary()[-1].total_ms < 50, "what ran before is not taken from it"
