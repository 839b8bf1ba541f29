"""Policies with a threshold that is given, and what is around them in an agent without a camera."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge_reid.agent.between_frames import BetweenFrames
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.gallery_report import GalleryReport
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.gallery_watch import GalleryWatch
from edge_reid.agent.policy import MatchPolicy, PolicyHolder
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.matching.gallery_thresholds import GalleryThresholds
from edge_reid.matching.index import Index
from edge_reid.strangers.purge import StrangerPurge
from edge_reid.wire.events import EventOrigin
from edge_reid.wire.topics import Address

NO_NAMES = StrangerPurge(Path("/nowhere/strangers.db"))


def policy_of(index: Index, threshold: float = 0.6, **rules: float) -> MatchPolicy:
    """By a fixed threshold."""
    fixed = DecideSettings.model_validate({"threshold": threshold, **rules})
    return MatchPolicy(index, fixed, thresholds=GalleryThresholds(()))


class NoGalleries:
    """No other gallery ever comes."""

    def take(self) -> None:
        return None


@dataclass(frozen=True)
class CameralessParts:
    """All of an agent but its camera and its models."""

    policies: CameraPolicies
    uplink: Uplink
    output: EventOutput
    between_frames: BetweenFrames

    @property
    def index(self) -> Index:
        """The gallery in force."""
        return self.policies.index


def without_camera(
    settings: AgentSettings,
    index: Index,
    stack: ExitStack,
    *,
    sync: GallerySync | None = None,
    watch: GalleryWatch | None = None,
) -> CameralessParts:
    """Built as `agent.app` does it."""
    address = Address(settings.mqtt.root, settings.site, settings.agent)
    policies = CameraPolicies({"gate": PolicyHolder(policy_of(index))})
    facts = AgentFacts(index.model_id, index.version, started_utc_s=0.0)
    uplink = Uplink.open(settings, address, facts, stack)
    output = EventOutput(
        EventOrigin(address, "gate", index.model_id, index.version),
        policies.of("gate"),
        names=NO_NAMES,
        commit=uplink.publisher.publish,
        lines=None,
    )
    between_frames = BetweenFrames(
        policies,
        sync or watch or NoGalleries(),
        outputs=[output],
        jobs=FrameJobs(),
        report=GalleryReport(policies, sync, publisher=uplink.publisher, facts=facts),
        names=NO_NAMES,
    )
    return CameralessParts(policies, uplink, output, between_frames)
