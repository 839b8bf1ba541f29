"""A device that shares strangers: the agent's real files, uplink, recogniser and sharing, without a
camera. Its certificate is of the cast of `SecuredMosquitto`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from support.decided_tracks import MODEL_ID, seen
from support.secured_broker import SecuredMosquitto

from edge_reid.agent.stranger_sharing import StrangerSharing, first_state
from edge_reid.agent.uplink import Uplink
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import HitType
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.topics import Address

DIMENSION = 64
QUANTILES = ((0.5, 0.1), (0.01, 0.5), (0.001, 0.7))
MANIFEST = EmbeddingManifest(
    name="test",
    sha256=MODEL_ID + 48 * "0",
    input_height_px=64,
    input_width_px=32,
    licence="none",
    source="none",
    dimension=DIMENSION,
    impostor_quantiles=QUANTILES,
)
_NOISE = np.eye(DIMENSION)[32:]


def look(person: int, similarity: float = 0.97, towards: int = 0) -> np.ndarray:
    """(64,) somebody, of this cosine to what they really look like; persons 0 to 31."""
    return similarity * np.eye(DIMENSION)[person] + np.sqrt(1 - similarity**2) * _NOISE[towards]


class SharingDevice:
    """`with` starts it and stops it; its files stay, so that it can be started again."""

    def __init__(
        self,
        folder: Path,
        broker: SecuredMosquitto,
        agent: str,
        *,
        login: str | None = None,
        protocol: str = "auto",
        share: bool = True,
        manifest: EmbeddingManifest = MANIFEST,
        **strangers: float,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.camera = agent.partition("-")[0]
        self.manifest = manifest
        self.settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": self.camera,
                "agent": agent,
                "gallery": folder / "gallery.db",
                "source": {"uri": "0"},
                "mqtt": {
                    "url": broker.url,
                    "protocol": protocol,
                    **broker.login(login or agent),
                },
                "strangers": {"share": share, **strangers},
            }
        )
        self._tracks = 0

    def connect(self, stack: ExitStack) -> Uplink:
        """Its outbox and publisher."""
        settings = self.settings
        facts = AgentFacts(MODEL_ID, 1, time.time(), cameras=(self.camera,))
        address = Address(settings.mqtt.root, settings.site, settings.agent)
        sharing = first_state(settings, is_live=True)
        return Uplink.open(settings, address, facts, stack, strangers=sharing)

    def __enter__(self) -> SharingDevice:
        self._stack = ExitStack()
        settings, stack = self.settings, self._stack
        self.uplink = self.connect(stack)
        sharing = StrangerSharing.open(settings, self.manifest, self.uplink, is_live=True)
        assert sharing is not None
        recogniser = StrangerRecogniser.open(
            settings,
            self.manifest,
            camera=self.camera,
            is_live=True,
            stack=stack,
            others=sharing.others,
        )
        assert recogniser is not None
        self.recogniser = recogniser
        self.sharing = stack.enter_context(sharing)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sees(self, what: np.ndarray, ago_s: float | None = None) -> str | None:
        """A track of somebody that has ended so long ago; the name that its end tells.

        Tracks are ten seconds apart where nothing is said: nobody is in two places.
        """
        self._tracks += 1
        ended_s = time.time() - (600.0 - 10.0 * self._tracks if ago_s is None else ago_s)
        hit = seen(HitType.END, self._tracks, what, ended_s - 5.0, ended_s)
        (named,) = self.recogniser.assign([hit], min_crops=3)
        return named.stranger

    @property
    def names(self) -> list[str]:
        """Of those whom it has seen itself."""
        with StrangerStore.open(self.settings.strangers_path, forgets=False) as store:
            return [each.name for each in store.strangers()]

    @property
    def heard(self) -> set[str]:
        """Names of those of whom others have told."""
        return {each.name for each in self.sharing.others().strangers}
