"""Who watches the similarities of unknown people, for all cameras of an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.drift_watch import DriftWatch
from edge_reid.agent.score_file import ScoreFile
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.matching.score_drift import can_be_expected


@dataclass(frozen=True, slots=True, eq=False)
class CameraDrifts:
    """The watches of live cameras, and the file that keeps what they count."""

    file: ScoreFile | None = None
    watches: Mapping[str, DriftWatch] | None = None

    @classmethod
    def open(
        cls,
        settings: AgentSettings,
        policies: CameraPolicies,
        manifest: EmbeddingManifest,
        *,
        notice: Callable[[str, str], None],
        are_live: bool,
        stack: ExitStack,
    ) -> CameraDrifts:
        """One for each camera; none for recordings, so that they give the same events in every run.

        Args:
            settings: of the agent: its cameras, and where its file lies.
            policies: what the cameras decide by.
            manifest: of the embedding model; one that measured nothing is compared with nothing.
            notice: tells a person a line about a camera, which is named first.
            are_live: whether the cameras are.
            stack: saves the file at its end.
        """
        if not are_live or not can_be_expected(manifest):
            return cls()
        file = ScoreFile(settings.scores_path)
        watches = {
            name: DriftWatch(
                manifest,
                policies.of(name),
                kept=file.block_of(name),
                notice=partial(notice, name),
            )
            for name in settings.cameras
        }
        file.keep(watches)
        stack.callback(file.save)
        return cls(file, watches)

    def of(self, camera: str) -> DriftWatch | None:
        """That of a camera; None for a recording."""
        return self.watches.get(camera) if self.watches else None
