"""Two devices that share strangers over a transport in memory: real files, recognisers, signatures
and exchanges, without a broker and without a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from support.decided_tracks import seen
from support.memory_transport import MemoryTransport
from support.secured_broker import certs

from edge_reid.agent import stranger_exchange
from edge_reid.agent.stranger_exchange import StrangerExchange
from edge_reid.core.config.decide_settings import StrangerSettings
from edge_reid.core.manifest import EmbeddingManifest
from edge_reid.core.types import Embedding, HitType
from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey
from edge_reid.strangers.heard_store import HeardStrangerStore
from edge_reid.strangers.recogniser import StrangerRecogniser
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.topics import Address


class MemorySite:
    """Certificates, and a transport that retains and never forgets, as that of MQTT 3.1.1."""

    def __init__(self, folder: Path, agents: Sequence[str] = ("gate-1", "yard-1")) -> None:
        self.folder = folder
        self.transport = MemoryTransport()
        for agent in agents:
            camera = agent.partition("-")[0]
            code, _, complaint = certs(
                folder / "pki", f"agent {agent} --site lab --camera {camera}"
            )
            assert code == 0, complaint
        self.authority = CertificateAuthority.read(folder / "pki" / "ca.crt")

    def key(self, name: str) -> CertifiedKey:
        stem = self.folder / "pki" / "clients" / name
        return CertifiedKey.read(stem.with_suffix(".crt"), stem.with_suffix(".key"))


class MemoryDevice:
    """One of them; a context manager that closes its files."""

    def __init__(
        self,
        site: MemorySite,
        agent: str,
        manifest: EmbeddingManifest,
        *,
        clock: Callable[[], float] = time.time,
        **strangers: float,
    ) -> None:
        self.camera = agent.partition("-")[0]
        self.clock = clock
        self._tracks = 0
        self._files = ExitStack()
        folder = site.folder / agent
        folder.mkdir(exist_ok=True)
        model = {"model_id": manifest.model_id, "dimension": manifest.dimension}
        settings = StrangerSettings.model_validate({"share": True, **strangers})
        path = folder / "strangers.db"

        def opened() -> StrangerStore:  # each of the two has a connection of its own
            return self._files.enter_context(
                StrangerStore.open_or_make(path, keep_s=settings.keep_s, **model)
            )

        self.heard = self._files.enter_context(
            HeardStrangerStore.open_or_make(folder / f"heard-strangers-{agent}.db", **model)
        )
        self.own = opened()
        self.exchange = StrangerExchange(
            Address("edge-reid", "lab", agent),
            (self.camera,),
            settings,
            manifest,
            key=site.key(agent),
            authority=site.authority,
            own=self.own,
            heard=self.heard,
            clock=clock,
        )
        self.recogniser = StrangerRecogniser(
            opened(),
            settings,
            camera=self.camera,
            origin=f"lab/{agent}",
            impostor_quantiles=manifest.impostor_quantiles,
            purges=True,
            clock=clock,
            others=lambda: self.exchange.others,
        )
        self._connection = site.transport.connect()

    def __enter__(self) -> MemoryDevice:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def begin(self) -> None:
        self.exchange.begin(self._connection)

    def turn(self, times: int = 1) -> bool:
        """Turns of its exchange; whether it goes on with this connection."""
        return all(self.exchange.turn(self._connection) for _ in range(times))

    def sees(self, what: np.ndarray | Sequence[Embedding], ago_s: float = 60.0) -> str | None:
        """A track of somebody that has ended so long ago; the name that its end tells.

        Args:
            what: one look, as often as a track needs, or all of them.
            ago_s: tracks of one camera end one second after the other: nobody is in two places.
        """
        self._tracks += 1
        ended_s = self.clock() - ago_s
        one, looks = (what, ()) if isinstance(what, np.ndarray) else (np.empty(0), what)
        hit = seen(HitType.END, self._tracks, one, ended_s - 0.5, ended_s, looks=looks)
        (named,) = self.recogniser.assign([hit], min_crops=3)
        return named.stranger

    @property
    def names(self) -> list[str]:
        """Of those whom it has seen itself."""
        return [each.name for each in self.own.strangers()]

    @property
    def others(self) -> set[str]:
        """Names of those of whom others have told."""
        return {each.name for each in self.exchange.others.strangers}


def exchanged(*devices: MemoryDevice, times: int = 6) -> None:
    """Let all of them hear of one another."""
    for _ in range(times):
        for device in devices:
            device.turn()


def without_waits() -> None:
    """In this process, nobody waits for a broker that is none."""
    stranger_exchange.SETTLE_S = stranger_exchange.TURN_S = 0.0
