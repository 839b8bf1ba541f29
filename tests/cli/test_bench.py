"""`edge-reid bench` measures what it says."""

from __future__ import annotations

import json

import pytest


@pytest.mark.timeout(600)
def test_the_naive_loop_does_more_of_everything(edge_reid, short_clip):
    outcome = edge_reid("bench", short_clip, "--naive", "--json")
    assert outcome.code == 0
    results = json.loads(outcome.out)
    agent, naive = results["agent"], results["naive"]
    assert agent["frames"] == naive["frames"] == 40
    assert agent["embeddings"] < naive["embeddings"]
    runs = {
        name: {stage["name"]: stage for stage in result["stages"]}
        for name, result in results.items()
    }
    assert runs["naive"]["detect"]["runs"] == 40
    assert runs["agent"]["detect"]["runs"] == 20
    assert runs["agent"]["detect"]["p50_ms"] <= runs["agent"]["detect"]["p95_ms"]
    assert agent["fps"] == pytest.approx(agent["frames"] / agent["wall_s"])


def test_the_table_names_the_machine_and_every_stage(edge_reid, short_clip):
    outcome = edge_reid("bench", short_clip)
    assert "machine: " in outcome.out
    for word in ("capture", "detect", "track", "embed", "match", "p95 ms", "peak memory"):
        assert word in outcome.out


def test_a_clip_that_is_not_there(edge_reid, tmp_path):
    outcome = edge_reid("bench", tmp_path / "no.mp4")
    assert outcome.code == 1
    assert "no.mp4" in outcome.complaint
