"""What a person sees while the agent runs."""

from __future__ import annotations

import pytest

from edge_reid.agent.metrics import RunSummary
from edge_reid.cli.run_progress import RunScreen
from edge_reid.cli.verb_progress import stages

HOSTILE = "[/x] [red]attic"
"""Another agent's host name, or a person's, may be any text."""

SUMMARY = RunSummary(
    frames=10,
    video_s=1.0,
    wall_s=1.0,
    detections_run=5,
    tracks=1,
    embeddings=3,
    hits_by_identity={HOSTILE: 1},
    unknown_tracks=0,
    uncertain_tracks=0,
    dropped_frames=0,
    dropped_events=0,
    waiting_events=0,
    undelivered=None,
)


def test_a_notice_is_shown_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with RunScreen(quiet=True) as screen:
        screen.notice(f"another agent gate-1 is online on {HOSTILE}")
    assert f"online on {HOSTILE}\n" in capfd.readouterr().err


def test_so_are_names_in_the_summary(capfd: pytest.CaptureFixture[str]) -> None:
    with RunScreen() as screen:
        screen.show(SUMMARY)
    assert f"{HOSTILE} 1" in capfd.readouterr().out


def test_so_is_the_name_of_a_file_beside_its_bar(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # bars are for terminals
    with stages() as told:
        told(HOSTILE, 1, 2)
    assert HOSTILE in capfd.readouterr().err
