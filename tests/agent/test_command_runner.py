"""Commands carried out between frames, without a network and without a camera."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS, ORIGIN
from support.following_agent import MANIFEST
from support.gallery_publisher import DIMENSION, MODEL, portraits

from edge_reid.agent import command_runner as steward_module
from edge_reid.agent.changeover import Changeover
from edge_reid.agent.command_runner import CommandRunner
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.policy import Standard
from edge_reid.consumers.command_client import new_command
from edge_reid.core.config import AgentSettings, CommandName, DecideSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Frame
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.mqtt.connection import Received
from edge_reid.wire.commands import CommandResult

FRAME = Frame(np.zeros((48, 64, 3), np.uint8), 0, 1_772_366_400.0)


class NoPipeline:
    """In the place of a pipeline: remembers what it was given."""

    threshold = 0.0
    decide: DecideSettings | None = None

    def use(self, index: Index, threshold: float) -> None:
        self.threshold = threshold

    def decide_by(self, settings: DecideSettings) -> None:
        self.decide = settings


class Box:
    """All of an agent that its steward knows. `with` runs it."""

    def __init__(
        self,
        folder: Path,
        manifest: EmbeddingManifest = MANIFEST,
        decide: DecideSettings | None = None,
    ) -> None:
        self.gallery = folder / "gallery.db"
        with GalleryStore.create(self.gallery, MODEL, DIMENSION) as store:
            store.add_all(portraits("ana"))
            index = Index(store.snapshot())
        self.settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": "gate",
                "agent": "gate-1",
                "gallery": self.gallery,
                "source": {"uri": "0"},
                "commands": {
                    "allow": ["snapshot", "reload", "sync-now", "set-threshold"],
                    "snapshot_dir": folder / "pictures",
                },
                "decide": decide or DecideSettings(),
            }
        )
        self.found = self.settings
        self.pipeline = NoPipeline()
        self.desk = CommandInbox(ADDRESS, self.settings.commands)
        standard = Standard(manifest, self.settings.decide)
        self.changeover = Changeover(
            None,
            index,
            pipeline=self.pipeline,  # type: ignore[arg-type]
            herald=EventOutput(ORIGIN, commit=None, lines=None),
            uplink=None,
            facts=AgentFacts(MODEL, index.version, started_utc_s=0.0),
            threshold_of=standard.threshold_of,
        )
        self.steward = CommandRunner(
            self.desk,
            self.settings,
            pipeline=self.pipeline,  # type: ignore[arg-type]
            standard=standard,
            changeover=self.changeover,
            sync=None,
            reload=lambda: self.found,
        )

    def tell(self, name: CommandName, threshold: float | None = None) -> None:
        body = new_command(name, threshold).to_json().encode()
        self.desk.hear(Received(ADDRESS.agent_command, body, retained=False))

    def result(self, *, frames: bool = True, frame: Frame | None = FRAME) -> CommandResult:
        """What it says, while frames come or do not; None: the camera is away."""
        said: list[str | bytes] = []

        def has_said() -> bool:
            if frames:
                self.steward.between_frames(frame)
            said.extend(it.text for it in self.desk.take_outgoing())
            return bool(said)

        eventually(has_said, 20)
        return CommandResult.model_validate(json.loads(said[0]))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    ours = Box(tmp_path)
    with ours.steward:
        yield ours


def test_a_set_threshold_outlives_a_new_gallery_and_ends_with_a_reload(box: Box) -> None:
    box.tell("set-threshold", 0.87654)
    assert box.result().threshold == 0.8765
    assert box.pipeline.threshold == 0.87654
    with GalleryStore.open(box.gallery, model_id=MODEL) as store:
        store.add_all(portraits("zoe"))
        index = Index(store.snapshot())
    box.changeover.put_in_force(index)
    assert box.pipeline.threshold == 0.87654
    assert box.desk.state.threshold_set == 0.8765
    box.tell("reload")
    configured = Standard(MANIFEST, box.settings.decide).threshold_of(index)
    assert box.result().threshold == round(configured, 4)
    assert box.pipeline.threshold == configured
    assert box.desk.state.threshold_set is None


def test_nothing_happens_but_between_frames(box: Box) -> None:
    box.tell("set-threshold", 0.8)
    threading.Event().wait(0.3)
    assert box.pipeline.threshold == 0.0
    assert box.result().outcome == "done"


def test_without_frames_a_command_is_refused_and_does_not_happen_later(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steward_module, "FRAME_PATIENCE_S", 0.2)
    box.tell("set-threshold", 0.8)
    result = box.result(frames=False)
    assert result.outcome == "refused"
    assert "expected a frame within 0.2 s, none came; nothing was changed" in str(result.reason)
    box.steward.between_frames(FRAME)
    assert box.pipeline.threshold == 0.0


def test_an_agent_that_stops_says_so(box: Box) -> None:
    box.tell("snapshot")
    eventually(lambda: bool(box.steward._errands))
    box.steward.__exit__()
    assert box.result(frames=False).reason == "the agent is about to stop"


def test_a_reload_brings_all_rules_of_decision(box: Box) -> None:
    changed = {"decide": DecideSettings(threshold=0.7, min_crops=9)}
    box.found = box.settings.model_copy(update={**changed, "camera": "door"})
    box.tell("reload")
    result = box.result()
    assert (result.threshold, result.restart_for) == (0.7, ("camera",))
    assert box.pipeline.decide == changed["decide"]


def test_a_reload_takes_a_gallery_that_was_emptied(box: Box) -> None:
    with GalleryStore.open(box.gallery, model_id=MODEL) as store:
        store.remove("ana")
        version = store.version
    assert "ana" in box.changeover.index
    box.tell("reload")
    assert box.result().gallery_version == version
    assert "ana" not in box.changeover.index


def test_a_reload_that_leaves_no_threshold_changes_nothing(tmp_path: Path) -> None:
    fixed = DecideSettings(threshold=0.7)
    box = Box(tmp_path, MANIFEST.model_copy(update={"impostor_quantiles": ()}), fixed)
    with GalleryStore.open(box.gallery, model_id=MODEL) as store:
        store.add_all(portraits("zoe"))
    with box.steward:
        box.found = box.settings.model_copy(update={"decide": DecideSettings()})
        box.tell("reload")
        assert box.result().outcome == "refused"
    assert box.pipeline.decide is None
    assert "zoe" not in box.changeover.index
    box.changeover.decide_anew()
    assert box.pipeline.threshold == 0.7


def test_without_a_camera_all_but_a_picture_can_be_had(box: Box) -> None:
    box.tell("set-threshold", 0.8)
    assert box.result(frame=None).outcome == "done"
    box.tell("snapshot")
    assert "expected a frame to keep, none comes now" in str(box.result(frame=None).reason)


def test_what_fails_unexpectedly_is_refused_and_the_next_is_done(box: Box) -> None:
    box.pipeline.decide_by = lambda settings: 1 / 0  # type: ignore[method-assign, assignment]
    box.tell("reload")
    assert box.result().reason == "unexpected ZeroDivisionError: division by zero"
    box.tell("set-threshold", 0.9)
    assert box.result().outcome == "done"


def test_a_box_with_its_own_gallery_has_no_source_to_look_at(box: Box) -> None:
    box.tell("sync-now")
    assert "has a gallery of its own; reload reads it anew" in str(box.result().reason)
