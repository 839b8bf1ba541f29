"""An agent without cameras: all that a real one says and hears, of people who are made up.

Outbox, publisher, statuses and the sync of the gallery are those of `edge-reid run`.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from support.decided_tracks import ANA, a_hit
from support.gallery_publisher import DIMENSION, MODEL

from edge_reid.agent.camera_status_report import STATUS_INTERVAL_S
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.sync_settings import GallerySyncSettings
from edge_reid.core.types import Known, Unknown
from edge_reid.delivery.publisher import AgentFacts, Link
from edge_reid.gallery.gallery_head import TrustPolicy
from edge_reid.mqtt.message import Message
from edge_reid.signing.keys import read_public_key
from edge_reid.transfer.gallery_transfer import open_gallery_source
from edge_reid.wire.events import (
    CameraReport,
    Event,
    EventOrigin,
    camera_status_message,
    rfc3339,
)
from edge_reid.wire.payloads import GalleryState
from edge_reid.wire.topics import Address

PEOPLE = 20
TURN_S = 1.0


@dataclass(frozen=True)
class Site:
    """What all agents of a simulation have in common."""

    folder: Path
    """In it every agent has a folder of its own."""
    mqtt: dict[str, object]
    """Section of the configuration."""
    delivered: str
    """`sink` or `broker`, as in `[outbox]`."""
    event_period_s: float
    """Between two events of an agent, on average."""
    public_key: Path
    """Of who publishes the gallery."""
    start_pause_s: float = 0.5
    """Between the starts of two agents of a process: a thousand devices have a thousand
    processors."""
    name: str = "lab"

    def settings(self, agent: str) -> AgentSettings:
        own = self.folder / agent
        sync = {"source": "mqtt", "public_key": self.public_key}
        return AgentSettings.model_validate(
            {
                "site": self.name,
                "agent": agent,
                "gallery": own / "gallery.db",
                "cameras": {f"{agent}-door": {"source": {"uri": "rtsp://127.0.0.1:9/door"}}},
                "mqtt": self.mqtt,
                "outbox": {"delivered": self.delivered},
                "gallery_sync": sync,
            }
        )


@dataclass(frozen=True)
class AgentState:
    """How one does."""

    committed: int
    """Events, since its outbox was made."""
    waiting: int
    dropped: int
    is_online: bool
    gallery_version: int
    trouble: str


class SimulatedAgent:
    """Lives in a thread, beside those of its publisher and of its gallery's sync.

    Args:
        site: where.
        name: its own.
        ending: set, when it is to stop.
        is_quiet: set, while nobody is before its camera.
    """

    def __init__(
        self, site: Site, name: str, ending: threading.Event, is_quiet: threading.Event
    ) -> None:
        self._site = site
        self.name = name
        self._ending = ending
        self._is_quiet = is_quiet
        self._camera = f"{name}-door"
        self._address = Address("edge-reid", site.name, name)
        self._facts = AgentFacts(MODEL, 0, time.time(), cameras=(self._camera,))
        self._dice = random.Random(name)
        self._uplink: Uplink | None = None
        self.thread = threading.Thread(target=self._live, name=name, daemon=True)

    @property
    def state(self) -> AgentState | None:
        """None: it has not begun."""
        if self._uplink is None:
            return None
        figures, link = self._uplink.outbox.figures, self._uplink.publisher.state
        return AgentState(
            figures.last_seq,
            figures.depth,
            figures.dropped,
            link.link is Link.ONLINE,
            self._facts.gallery_version,
            link.reason,
        )

    def _live(self) -> None:
        settings = self._site.settings(self.name)
        (self._site.folder / self.name).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            uplink = Uplink.open(settings, self._address, self._facts, stack)
            assert settings.gallery_sync is not None
            sync = GallerySync(
                settings.gallery,
                settings.gallery_sync,
                self._trusted(settings.gallery_sync),
                open_gallery_source(settings.gallery_sync, settings),
            )
            threading.Thread(target=self._follow, args=(sync,), daemon=True).start()
            self._uplink = uplink
            self._watch(uplink, sync)

    def _trusted(self, sync: GallerySyncSettings) -> TrustPolicy:
        key = read_public_key(self._site.public_key)
        return TrustPolicy(key, self._site.name, MODEL, DIMENSION, sync.max_bytes)

    def _follow(self, sync: GallerySync) -> None:
        """A device without a gallery waits for its first one; nobody here waits for that."""
        with sync:
            self._ending.wait()

    def _watch(self, uplink: Uplink, sync: GallerySync) -> None:
        """What the loop over the frames does, for the network."""
        event_s = time.monotonic() + self._pause_s()
        status_s = time.monotonic() + self._dice.uniform(0, STATUS_INTERVAL_S)
        while not self._ending.wait(_wait_s(event_s, status_s)):
            now_s = time.monotonic()
            if index := sync.take():
                self._facts = replace(
                    self._facts, gallery_version=index.version, gallery=_gallery_state(sync)
                )
                uplink.publisher.update(self._facts)
            if now_s >= status_s:
                status_s = now_s + STATUS_INTERVAL_S
                uplink.publisher.show(self._camera_status())
            if now_s >= event_s:
                event_s = now_s + self._pause_s()
                if not self._is_quiet.is_set():
                    uplink.publisher.publish(self._event(uplink.outbox.figures.last_seq + 1))

    def _pause_s(self) -> float:
        """Until the next event; people come at any time."""
        return self._dice.expovariate(1 / self._site.event_period_s)

    def _camera_status(self) -> Message:
        report = CameraReport("running", fps=10.0, last_frame_utc_s=time.time())
        return camera_status_message(
            self._address, self._camera, report, time.time(), period_s=STATUS_INTERVAL_S
        )

    def _event(self, track: int) -> Event:
        """Every third person is unknown."""
        now_s = time.time()
        who: Known | Unknown = replace(ANA, identity=f"person-{self._dice.randrange(PEOPLE)}")
        if track % 3 == 0:
            who = Unknown(similarity=0.41, threshold=0.6, crops=4)
        hit = replace(
            a_hit(track, who),
            captured_utc_s=now_s - 0.5,
            decided_utc_s=now_s,
            first_seen_utc_s=now_s - 2,
            last_seen_utc_s=now_s,
        )
        version = self._facts.gallery_version
        return Event(hit, EventOrigin(self._address, self._camera, MODEL, version))


def _wait_s(*due_s: float) -> float:
    """Until the first of what is due."""
    return max(0.0, min(TURN_S, min(due_s) - time.monotonic()))


def _gallery_state(sync: GallerySync) -> GalleryState:
    state = sync.state
    return GalleryState(
        version=state.version,
        created_at=rfc3339(state.created_utc_s) if state.created_utc_s else None,
        checked_at=rfc3339(state.checked_utc_s) if state.checked_utc_s else None,
        source=sync.source_name,
        refused=state.refused,
        erased_through=0,
    )
