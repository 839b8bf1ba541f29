"""The parts of an agent that metrics and page are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.delivery.publisher import AgentFacts


@dataclass(frozen=True, slots=True, eq=False)
class AgentParts:
    """What of an agent is told."""

    cameras: Sequence[WatchedCamera]
    policies: CameraPolicies
    sync: GallerySync | None
    """How the gallery follows its source; None: it is the device's own."""
    uplink: Uplink | None
    """The broker; None: there is none."""
    facts: AgentFacts
