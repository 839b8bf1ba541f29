"""What a person sees while the agent runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.metrics import RunSummary
from edge_reid.cli.run_progress import RunScreen
from edge_reid.cli.verb_progress import stages
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.store import GalleryStore

HOSTILE = "[/x] [red]attic"
"""Another agent's host name, or a person's, may be any text."""

LINE_ERASED = "\x1b[2K"
"""What a terminal is told to take a line back."""

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


@pytest.mark.parametrize(
    ("cameras", "said"),
    [(("gate",), "stream away: refused"), (("gate", "door"), "door: stream away: refused")],
)
def test_what_is_said_of_one_of_several_cameras_names_it(
    capfd: pytest.CaptureFixture[str], cameras: tuple[str, ...], said: str
) -> None:
    parts = SimpleNamespace(cameras=[SimpleNamespace(name=name, output=None) for name in cameras])
    with RunScreen(quiet=True) as screen:
        screen.opened(cast("AgentParts", parts))
        screen.camera_notice(cameras[-1], "stream away: refused")
    assert capfd.readouterr().err.splitlines()[0] == said


def test_so_are_names_in_the_summary(capfd: pytest.CaptureFixture[str]) -> None:
    with RunScreen() as screen:
        screen.show(SUMMARY)
    assert f"{HOSTILE} 1" in capfd.readouterr().out


@pytest.mark.parametrize("is_terminal", ["0", "1"])
def test_a_run_that_never_began_leaves_no_bar_above_its_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: str
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", is_terminal)
    with pytest.raises(SourceError), RunScreen():
        raise SourceError("no such camera")
    left = capfd.readouterr().err.rpartition(LINE_ERASED)[2]
    assert "starting" not in left


def test_all_events_are_counted_also_those_of_the_end(
    short_clip: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tracks that are open when the video is over end, and say so."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    manifest = load_embedding_manifest(shipped_model(EMBEDDING))
    gallery, lines = tmp_path / "gallery.db", tmp_path / "events.jsonl"
    GalleryStore.create(gallery, manifest.model_id, manifest.dimension).close()
    table = {"site": "lab", "camera": "gate", "agent": "box", "gallery": gallery}
    settings = AgentSettings.model_validate(table | {"source": {"uri": str(short_clip)}})
    with RunScreen() as screen:
        run_agent(settings, outputs=Outputs(events=str(lines)), observers=[screen])
    written = len(lines.read_text().splitlines())
    assert written
    *_, last = (line for line in capfd.readouterr().err.splitlines() if " events" in line)
    assert f"0 people  {written} events" in last


def test_so_is_the_name_of_a_file_beside_its_bar(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # bars are for terminals
    with stages() as told:
        told(HOSTILE, 1, 2)
    assert HOSTILE in capfd.readouterr().err
