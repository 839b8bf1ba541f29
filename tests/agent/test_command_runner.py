"""Commands carried out between frames, without a network and without a camera."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.consumer import eventually
from support.decided_tracks import ADDRESS
from support.following_agent import MANIFEST
from support.gallery_publisher import DIMENSION, MODEL, portraits

from edge_reid.agent import frame_jobs
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.command_runner import CommandRunner
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.consumers.command_client import new_command
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.command_settings import CommandName
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Frame
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.matching.threshold import threshold_for
from edge_reid.mqtt.connection import Received
from edge_reid.wire.commands import CommandResult

FRAME = Frame(np.zeros((48, 64, 3), np.uint8), 0, 1_772_366_400.0)


class CommandedAgent:
    """All of an agent that its command runner knows. `with` its runner runs it."""

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
        self.table = {
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
        self.settings = self.found_with()
        self.found: Callable[[], AgentSettings] = lambda: self.settings
        self.inbox = CommandInbox(ADDRESS, self.settings.commands)
        self.policies = PolicyHolder(
            MatchPolicy(index, self.settings.decide, GalleryThresholds.of(manifest))
        )
        policies = CameraPolicies({"gate": self.policies})
        self.jobs = FrameJobs()
        self.runner = CommandRunner(
            self.inbox,
            self.settings,
            policies=policies,
            sync=None,
            jobs=self.jobs,
            wrong_names=WrongNames((), self.jobs, policies, self.gallery),
            reload=self._reload,
        )

    def found_with(self, **more: object) -> AgentSettings:
        """Its settings, with these in place of its own."""
        return AgentSettings.model_validate(self.table | more)

    def _reload(self) -> AgentSettings:
        return self.found()

    @property
    def policy(self) -> MatchPolicy:
        return self.policies.current

    def tell(
        self, name: CommandName, threshold: float | None = None, camera: str | None = None
    ) -> None:
        body = new_command(name, threshold, camera=camera).to_json().encode()
        self.inbox.hear(Received(ADDRESS.agent_command, body, retained=False))

    def result(self, *, frames: bool = True, frame: Frame | None = FRAME) -> CommandResult:
        """What it says, while frames come or do not; None: the camera is away."""
        said: list[str | bytes] = []

        def has_said() -> bool:
            if frames:
                self.jobs.run("gate", frame)
            said.extend(it.text for it in self.inbox.take_outgoing())
            return bool(said)

        eventually(has_said, 20)
        return CommandResult.model_validate(json.loads(said[0]))


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[CommandedAgent]:
    ours = CommandedAgent(tmp_path)
    with ours.runner:
        yield ours


def test_a_set_threshold_outlives_a_new_gallery_and_ends_with_a_reload(
    agent: CommandedAgent,
) -> None:
    agent.tell("set-threshold", 0.87654)
    assert agent.result().threshold == 0.8765
    assert agent.policy.threshold == 0.87654
    with GalleryStore.open(agent.gallery, model_id=MODEL) as store:
        store.add_all(portraits("zoe"))
        index = Index(store.snapshot())
    agent.policies.swap(agent.policy.with_gallery(index))
    assert agent.policy.threshold == 0.87654
    assert agent.inbox.state.threshold_set == 0.8765
    agent.tell("reload")
    configured = threshold_for(
        MANIFEST.impostor_quantiles, agent.settings.decide.target_fpir, len(index)
    )
    assert agent.result().threshold == round(configured, 4)
    assert agent.policy.threshold == configured
    assert agent.inbox.state.threshold_set is None


def test_nothing_happens_but_between_frames(agent: CommandedAgent) -> None:
    before = agent.policy
    agent.tell("set-threshold", 0.8)
    threading.Event().wait(0.3)
    assert agent.policy is before
    assert agent.result().outcome == "done"


def test_looks_in_hand_end_ahead_of_what_is_done_between_frames_and_go_on_if_nothing_is(
    agent: CommandedAgent,
) -> None:
    settled: list[MatchPolicy] = []
    agent.jobs.run("gate", FRAME, lambda: settled.append(agent.policy))
    assert settled == []
    before = agent.policy
    agent.tell("set-threshold", 0.8)

    def is_done() -> bool:
        agent.jobs.run("gate", FRAME, lambda: settled.append(agent.policy))
        return agent.policy is not before

    eventually(is_done, 20)
    assert settled == [before]


def test_looks_go_on_while_a_job_waits_for_another_camera_and_when_it_was_given_up(
    agent: CommandedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that is away may be so for weeks, and each look would wait for all others."""
    monkeypatch.setattr(frame_jobs, "FRAME_PATIENCE_S", 0.2)
    settled: list[str] = []
    asking = threading.Thread(target=lambda: _given_up(agent.jobs, "away"))
    asking.start()
    while asking.is_alive():
        agent.jobs.run("gate", FRAME, lambda: settled.append("waits"))
    agent.jobs.run("gate", FRAME, lambda: settled.append("given up"))
    agent.jobs.run("away", FRAME, lambda: settled.append("is back"))
    assert settled == []


def _given_up(jobs: FrameJobs, camera: str) -> None:
    with pytest.raises(SourceError, match="expected a frame within"):
        jobs.do(lambda: None, camera)


def test_without_frames_a_command_is_refused_and_does_not_happen_later(
    agent: CommandedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_jobs, "FRAME_PATIENCE_S", 0.2)
    before = agent.policy
    agent.tell("set-threshold", 0.8)
    result = agent.result(frames=False)
    assert result.outcome == "refused"
    assert "expected a frame within 0.2 s, none came; nothing was changed" in str(result.reason)
    agent.jobs.run("gate", FRAME)
    assert agent.policy is before


def test_an_agent_that_stops_says_so(agent: CommandedAgent) -> None:
    agent.tell("snapshot")
    eventually(lambda: bool(agent.jobs._waiting))
    agent.runner.__exit__()
    assert agent.result(frames=False).reason == "the agent is about to stop"


def test_a_reload_brings_all_rules_of_decision(agent: CommandedAgent) -> None:
    rules = DecideSettings(threshold=0.7, min_crops=9)
    found = agent.found_with(decide=rules, models={"threads": 3})
    agent.found = lambda: found
    agent.tell("reload")
    result = agent.result()
    assert (result.threshold, result.restart_for) == (0.7, ("models",))
    assert agent.policy.rules == rules


def test_a_reload_takes_a_gallery_that_was_emptied(agent: CommandedAgent) -> None:
    with GalleryStore.open(agent.gallery, model_id=MODEL) as store:
        store.remove("ana")
        version = store.version
    assert "ana" in agent.policy.index
    agent.tell("reload")
    assert agent.result().gallery_version == version
    assert "ana" not in agent.policy.index


def test_a_reload_that_leaves_no_threshold_changes_nothing(tmp_path: Path) -> None:
    fixed = DecideSettings(threshold=0.7)
    agent = CommandedAgent(tmp_path, MANIFEST.model_copy(update={"impostor_quantiles": ()}), fixed)
    with GalleryStore.open(agent.gallery, model_id=MODEL) as store:
        store.add_all(portraits("zoe"))
    with agent.runner:
        unfixed = agent.found_with(decide=DecideSettings())
        agent.found = lambda: unfixed
        agent.tell("reload")
        assert agent.result().outcome == "refused"
    assert agent.policy.rules == fixed
    assert "zoe" not in agent.policy.index
    assert agent.policy.threshold == 0.7


def test_without_a_camera_all_but_a_picture_can_be_had(agent: CommandedAgent) -> None:
    agent.tell("set-threshold", 0.8)
    assert agent.result(frame=None).outcome == "done"
    agent.tell("snapshot")
    assert "expected a frame to keep, none comes now" in str(agent.result(frame=None).reason)


def test_what_fails_unexpectedly_is_refused_and_the_next_is_done(agent: CommandedAgent) -> None:
    agent.found = lambda: 1 / 0  # type: ignore[assignment, return-value]
    agent.tell("reload")
    assert agent.result().reason == "unexpected ZeroDivisionError: division by zero"
    agent.tell("set-threshold", 0.9)
    assert agent.result().outcome == "done"


def test_a_device_with_its_own_gallery_has_no_source_to_look_at(agent: CommandedAgent) -> None:
    agent.tell("sync-now")
    assert "has a gallery of its own; reload reads it anew" in str(agent.result().reason)


def test_a_command_for_a_camera_of_another_agent_is_refused(agent: CommandedAgent) -> None:
    before = agent.policy
    agent.tell("set-threshold", 0.8, camera="door")
    reason = str(agent.result().reason)
    assert "expected camera gate, the one of this agent, got door" in reason
    assert agent.policy is before


@pytest.mark.parametrize("camera", ["gate", None])
def test_a_command_for_this_camera_or_for_no_certain_one_is_done(
    agent: CommandedAgent, camera: str | None
) -> None:
    agent.tell("set-threshold", 0.8, camera=camera)
    assert agent.result().outcome == "done"
    assert agent.policy.threshold == 0.8


def test_only_a_command_for_a_camera_says_so() -> None:
    """An older agent takes nothing that holds a field it does not know."""
    assert "camera" not in json.loads(new_command("reload").to_json())
    assert json.loads(new_command("reload", camera="gate").to_json())["camera"] == "gate"
