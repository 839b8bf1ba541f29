"""The parts of an agent that metrics are read from."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera


@dataclass(frozen=True, slots=True, eq=False)
class AgentParts:
    """What of an agent is told."""

    site: str
    agent: str
    model_id: str
    cameras: tuple[WatchedCamera, ...]
    policies: CameraPolicies
    sync: GallerySync | None
    uplink: Uplink | None
