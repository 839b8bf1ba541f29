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
from support.gallery_publisher import DIMENSION, MODEL, SITE
from support.no_pipeline import NoPipeline

from edge_reid.agent.changeover import Changeover
from edge_reid.agent.event_output import EventOutput
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config import AgentSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.wire.events import Event, EventOrigin
from edge_reid.wire.topics import Address

MANIFEST = EmbeddingManifest(
    name="test",
    sha256=MODEL + 48 * "0",
    input_height_px=64,
    input_width_px=32,
    licence="none",
    source="none",
    dimension=DIMENSION,
    impostor_quantiles=((0.1, 0.5),),
)
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
    def address(self) -> Address:
        return Address("edge-reid", SITE, self.agent)

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


class Box:
    """All of an agent but its camera and its models. `with` runs it."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._open = ExitStack()

    def __enter__(self) -> Box:
        settings, stack = self._life.settings, self._open
        sync = GallerySync.open(settings, MANIFEST)
        assert sync is not None
        stack.enter_context(sync)
        index = sync.first
        facts = AgentFacts(MODEL, index.version, started_utc_s=0.0)
        self.uplink = Uplink.open(settings, self._life.address, facts, stack)
        self.herald = EventOutput(
            EventOrigin(self._life.address, "gate", MODEL, index.version),
            commit=self.commit,
            lines=None,
        )
        self.changeover = Changeover(
            sync,
            index,
            pipeline=NoPipeline(),  # type: ignore[arg-type]
            herald=self.herald,
            uplink=self.uplink,
            facts=facts,
            threshold_of=lambda _: 0.6,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def commit(self, event: Event) -> int | None:
        return self.uplink.publisher.publish(event)


class WatchedBox(Box):
    """Says what it has committed."""

    def __init__(self, life: Life, watcher: Connection) -> None:
        super().__init__(life)
        self._watcher = watcher

    def commit(self, event: Event) -> int | None:
        seq = super().commit(event)
        self._watcher.send(seq)
        return seq


def live(life: Life, watcher: Connection) -> None:
    """Sync and publish, for ever."""
    with WatchedBox(life, watcher) as device:
        for track in itertools.count(life.first_track):
            device.changeover.between_frames()
            device.herald.tell([a_hit(track)])
            time.sleep(PAUSE_S)
