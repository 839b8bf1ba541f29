"""A device that follows the gallery of its site at a real broker, with the shipped models, and the
desk at which people are enrolled and galleries published. Each is run as people do it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.consumer import Consumer, eventually
from support.outcome import Outcome

import edge_reid
from edge_reid.core.bundled_models import (
    DETECTOR,
    EMBEDDING,
    MOBILENET_EMBEDDING,
    shipped_model,
)
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.types import Template
from edge_reid.gallery.store import GalleryStore

OLD, NEW = MOBILENET_EMBEDDING, EMBEDDING
"""The default before, and that of now."""
PATIENCE_S = 90.0
SITE = "lab"
SETTINGS = """
site = "lab"
camera = "gate"
agent = "gate-1"
gallery = "replica.db"
[source]
uri = "{camera}"
[mqtt]
url = "{url}"
[gallery_sync]
source = "mqtt"
public_key = "gallery-signing.pub"
poll_s = 0.5
[strangers]
"""

Command = Callable[..., Outcome]


def model_id(model: str) -> str:
    """Of a shipped model, by its file's name."""
    return load_embedding_manifest(shipped_model(model)).model_id


def installed(folder: Path) -> Path:
    """An installation of its own, of which files may be damaged; returns where its models are."""
    package = folder / "edge_reid"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(edge_reid.__file__).parent, package, ignore=without)
    models = folder / "models"
    models.mkdir()
    for model in (DETECTOR, OLD, NEW):
        for file in (shipped_model(model), shipped_model(model).with_suffix(".json")):
            shutil.copy(file, models)
    return models


@dataclass(frozen=True)
class Desk:
    """Where people are enrolled, and galleries published."""

    folder: Path
    url: str
    edge_reid: Command

    def __post_init__(self) -> None:
        self.do("keys", "new", "--out", self.folder)

    def do(self, *words: object) -> str:
        """Run a verb that must succeed; returns what it says."""
        outcome = self.edge_reid(*words)
        assert outcome.code == 0, outcome.err
        return outcome.out

    def enrol(self, model: str, photos: dict[str, list[Path]]) -> Path:
        """A gallery of that model with these people."""
        gallery = self.folder / f"{Path(model).stem}.db"
        self.do("gallery", "init", gallery, "--model", Path(model).stem)
        for name, crops in photos.items():
            self.do("gallery", "enroll", name, *crops, "--gallery", gallery)
        return gallery

    def foreign_gallery(self) -> Path:
        """Of a model that is not shipped."""
        path = self.folder / "foreign.db"
        vector = np.full(256, 1 / 16, np.float32)
        photo = Template("mallory", vector, "f" * 16, 0.9, "0" * 64, 1_760_000_000.0)
        with GalleryStore.create(path, "f" * 16, 256) as store:
            store.add_all([photo])
        return path

    def publish(self, gallery: Path) -> None:
        """Sign it and leave it at the broker, above whatever lies there."""
        key = self.folder / "gallery-signing.key"
        words = ("--site", SITE, "--broker", self.url, "--key", key, "--supersede")
        self.do("gallery", "publish", "--gallery", gallery, *words)


@dataclass(frozen=True)
class FollowingCamera:
    """A device, and the broker as whoever watches it sees it."""

    folder: Path
    consumer: Consumer

    @classmethod
    def set_up(
        cls, folder: Path, desk: Desk, camera: str, consumer: Consumer, more: str = ""
    ) -> FollowingCamera:
        """One that was started never."""
        folder.mkdir()
        public_key = desk.folder / "gallery-signing.pub"
        (folder / public_key.name).write_bytes(public_key.read_bytes())
        text = SETTINGS.format(camera=camera, url=desk.url) + more
        (folder / "agent.toml").write_text(text, encoding="utf-8")
        return cls(folder, consumer)

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def log(self) -> str:
        """Of all its starts."""
        path = self.folder / "log.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def statuses(self) -> list[dict[str, Any]]:
        return self.consumer.payloads("agents/gate-1/status")

    @property
    def status(self) -> dict[str, Any]:
        """As it was told last."""
        return (self.statuses or [{"model_id": None, "gallery": {}, "gallery_version": None}])[-1]

    @property
    def refused(self) -> str | None:
        """Why it does not take the newest gallery, as it was told last."""
        return (self.status.get("gallery") or {}).get("refused")

    @contextmanager
    def running(
        self, *words: object, program: Path | None = None, manager: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The agent as its service runs it; stopped as systemd does it.

        Args:
            words: more of its command line.
            program: a folder that has another `edge_reid`, such as an earlier release.
            manager: the socket of a service manager.
        """
        command = [sys.executable, "-m", "edge_reid", "run", "--quiet", "--config", self.config]
        given = {"PYTHONPATH": program, "NOTIFY_SOCKET": manager}
        environment = os.environ | {key: str(path) for key, path in given.items() if path}
        with (self.folder / "log.txt").open("ab") as log:
            agent = subprocess.Popen(
                [*map(str, (*command, *words))], stderr=log, cwd=self.folder, env=environment
            )
            try:
                yield agent
                assert agent.poll() is None, self.log
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(60) == 0, self.log
            finally:
                agent.kill()
                agent.wait()

    def await_status(self, **expected: object) -> None:
        """Until it is online and says this of itself."""

        def is_so() -> bool:
            said = self.status | {"refused": self.refused}
            return all(said.get(key) == value for key, value in ONLINE.items() | expected.items())

        self._await(is_so)

    def await_hit(self, identity: str, model: str) -> None:
        """A hit from now on that names somebody by that model."""
        since = len(self.consumer.payloads("gate/hit"))
        wanted = identity, model_id(model)
        self._await(
            lambda: any(
                (hit["identity"], hit["model_id"]) == wanted
                for hit in self.consumer.payloads("gate/hit")[since:]
            )
        )

    def await_refusal(self, words: str) -> None:
        """Until its status says that, and why, a gallery is refused."""
        self._await(lambda: words in str(self.refused))

    def _await(self, is_so: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        eventually(lambda: is_so() or time.monotonic() > deadline_s, PATIENCE_S + 5)
        assert is_so(), f"{self.status}\n{self.log}"


ONLINE = {"state": "online"}
