"""Unknown people are forgotten in time: when nobody is to be remembered any more, and when the
camera is away.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.consumer import eventually
from support.decided_tracks import a_hit
from support.gallery_publisher import DIMENSION, MODEL
from support.mjpeg_camera import MjpegCamera
from support.systemd_listener import Listener

from edge_reid.cli.main import main
from edge_reid.core.bundled_models import EMBEDDING, shipped_model
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.core.types import Embedding
from edge_reid.strangers.purge import StrangerPurge
from edge_reid.strangers.stranger import Visit
from edge_reid.strangers.stranger_store import StrangerStore

KEEP_S = 3600.0


def remembering(path: Path, model_id: str = MODEL, dimension: int = DIMENSION) -> StrangerStore:
    return StrangerStore.open_or_make(path, model_id=model_id, dimension=dimension, keep_s=KEEP_S)


def meet(store: StrangerStore, now_utc_s: float) -> None:
    vector = np.eye(1, store.dimension, dtype=np.float32)[0]
    visit = Visit("gate", 0.0, 5.0, (Embedding(vector, store.model_id, 0.6),))
    store.meet(visit, origin="lab/device", now_utc_s=now_utc_s, max_people=9)


def people(path: Path) -> int:
    """Without opening it as an agent would, which forgets people."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM strangers").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "strangers.db"


class TestPurge:
    def test_who_is_due_is_forgotten_and_the_others_are_told_of_once(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("edge_reid.strangers.purge.LOOK_INTERVAL_S", 0.0)
        now = time.time()
        with remembering(path) as store:
            meet(store, now)
            meet(store, now - KEEP_S - 1)
        purge = StrangerPurge(path)
        with caplog.at_level(logging.WARNING):
            purge.forget_due()
            purge.forget_due()
        assert people(path) == 1
        (told,) = caplog.records
        assert "embeddings of 1 unknown people are still kept" in told.getMessage()

    def test_whoever_another_agent_remembers_stays(self, path: Path) -> None:
        with remembering(path) as store:
            meet(store, time.time())
            StrangerPurge(path).forget_due()
            meet(store, time.time())
            assert len(store.strangers()) == 2

    def test_where_nothing_is_nothing_is_made(self, path: Path) -> None:
        StrangerPurge(path).forget_due()
        assert not path.exists()

    def test_another_file_is_left_alone_and_the_agent_runs_on(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path.write_bytes(b"my diary")
        purge = StrangerPurge(path)
        purge.forget_due()
        assert purge.assign([a_hit()], 3) == (a_hit(),)
        assert path.read_bytes() == b"my diary"
        assert "another kind of file" in caplog.text


HURRIED = """
from edge_reid.strangers import purge, recogniser
from edge_reid.cli.main import main
recogniser.PURGE_INTERVAL_S = purge.LOOK_INTERVAL_S = 0.5
main()
"""


@pytest.mark.parametrize("section", [f"[strangers]\nkeep_s = {KEEP_S}\n", ""])
def test_whoever_is_due_while_the_camera_is_away_is_forgotten(
    tmp_path: Path, path: Path, section: str
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(tmp_path / "gallery.db")])
    manifest = load_embedding_manifest(shipped_model(EMBEDDING))
    manager = Listener(tmp_path / "notify")
    with MjpegCamera() as camera:
        camera.answers = False
        (tmp_path / "gate.toml").write_text(
            'site = "lab"\ncamera = "gate"\ngallery = "gallery.db"\n'
            f'[source]\nuri = "{camera.url}"\nstall_timeout_s = 6\n{section}'
        )
        words = ("run", "--quiet", "--config", str(tmp_path / "gate.toml"))
        environment = os.environ | {"NOTIFY_SOCKET": str(manager.path)}
        with subprocess.Popen([sys.executable, "-c", HURRIED, *words], env=environment) as agent:
            try:
                manager.hear_until("STATUS=waiting for the camera")
                with remembering(path, manifest.model_id, manifest.dimension) as store:
                    meet(store, time.time() - KEEP_S - 1)
                eventually(lambda: people(path) == 0, 20)
                assert agent.poll() is None
            finally:
                agent.kill()
