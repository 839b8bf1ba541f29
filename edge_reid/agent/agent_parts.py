"""The parts of an agent that are told of: by its metrics, and on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.uplink import Uplink
from edge_reid.agent.watched_camera import WatchedCamera
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.delivery.publisher import AgentFacts


@dataclass(frozen=True, slots=True, eq=False)
class AgentParts:
    """What of an agent is told."""

    site: str
    agent: str
    cameras: Sequence[WatchedCamera]
    policies: CameraPolicies
    sync: GallerySync | None
    """How the gallery follows its source; None: it is the device's own."""
    uplink: Uplink | None
    """The broker; None: there is none."""
    facts: AgentFacts
    wrong_names: WrongNames
    """Takes published names back."""

    @property
    def model_id(self) -> str:
        """Of the embedding model."""
        return self.facts.model_id
