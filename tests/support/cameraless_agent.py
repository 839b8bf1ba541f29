"""An agent without a camera: it syncs its gallery and publishes events until it is killed.

Run by `multiprocessing`, a process for every life, forked from one that has imported everything.
"""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from support.decided_tracks import a_hit
from support.following_agent import MANIFEST
from support.gallery_publisher import SITE
from support.policies import CameralessParts, without_camera

from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.core.config.agent_settings import AgentSettings

PAUSE_S = 0.01
"""Between two frames."""


@dataclass(frozen=True)
class Life:
    """What a device is born with."""

    folder: Path
    url: str
    public_key: Path
    first_track: int
    """No two lives tell the same event."""
    agent: str = "gate-1"

    @property
    def replica(self) -> Path:
        return self.folder / "replica.db"

    @property
    def settings(self) -> AgentSettings:
        return AgentSettings.model_validate(
            {
                "site": SITE,
                "camera": "gate",
                "agent": self.agent,
                "gallery": self.replica,
                "source": {"uri": "0"},
                "mqtt": {"url": self.url},
                "gallery_sync": {
                    "source": "mqtt",
                    "public_key": self.public_key,
                    "poll_s": 0.1,
                    "keep_previous_s": 0,
                },
            }
        )


class CameralessAgent:
    """All of an agent but its camera and its models. `with` runs it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._open = ExitStack()

    def __enter__(self) -> CameralessParts:
        sync = GallerySync.open(self._life.settings, MANIFEST)
        assert sync is not None
        self._open.enter_context(sync)
        return without_camera(self._life.settings, sync.first, self._open, sync=sync)

    def __exit__(self, *_: object) -> None:
        self._open.close()


def live(life: Life, watcher: Connection) -> None:
    """Sync and publish, for ever; say what is committed."""
    with CameralessAgent(life) as agent:
        for track in itertools.count(life.first_track):
            agent.between_frames.run(None, None)
            agent.output.write([a_hit(track)])
            watcher.send(agent.uplink.outbox.figures.last_seq)
            time.sleep(PAUSE_S)
