"""What a cluster of Dask is refused for: it runs what it is sent."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from socket import gethostname

import pytest
from support.dask_cluster import DaskCluster
from support.postgres import Postgres

pytest.importorskip("distributed", reason="Dask is not installed (the extra `cluster`)")

from edge_reid.archive import cluster_indexing
from edge_reid.archive.archive_store import ArchiveModels
from edge_reid.archive.archive_urls import create_archive, from_anywhere
from edge_reid.archive.cluster_indexing import (
    Cluster,
    ClusterOrder,
    do_video,
    from_any_machine,
    index_on_cluster,
    versions_here,
)
from edge_reid.archive.track_archive import TrackArchive
from edge_reid.archive.video_tracks import PATIENCE_S, VideoJob
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, SMALLER_EMBEDDING, shipped_model
from edge_reid.core.errors import ConfigError, SourceError, StoreError
from edge_reid.core.progress import no_progress

JOB = VideoJob(Path("a.mp4"), "gate", "2026-03-01T12:00:00Z")


def test_a_shipped_model_is_named_and_another_one_has_its_path(tmp_path: Path) -> None:
    """edge-reid may lie in another folder on each machine."""
    assert from_any_machine(shipped_model(SMALLER_EMBEDDING)) == Path(SMALLER_EMBEDDING)
    assert from_any_machine(tmp_path / SMALLER_EMBEDDING) == tmp_path / SMALLER_EMBEDDING
    assert from_any_machine(Path("mine.tflite")) == Path("mine.tflite").absolute()


def order(folder: Path, *versions: str) -> ClusterOrder:
    return ClusterOrder(
        str(folder), Path(EMBEDDING), Path(DETECTOR), "auto", versions or versions_here()
    )


def test_plain_connections_stay_on_this_machine() -> None:
    assert Cluster("tcp://127.0.0.1:8786").security() is None
    for url in ("tcp://10.0.0.1:8786", "tcp://scheduler.lab.example"):
        with pytest.raises(ConfigError, match="lets everybody on the network run programs there"):
            Cluster(url).security()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8786", "127.0.0.1:8786", "tls://"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match="--cluster: 1 mistake"):
        Cluster(url).security()


def test_tls_needs_certificates_of_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs --ca-file, --cert-file and --key-file"):
        Cluster("tls://127.0.0.1").security()
    missing = tmp_path / "ca.crt"
    with pytest.raises(ConfigError, match=r"ca\.crt: cannot be read"):
        Cluster("tls://127.0.0.1", missing, missing, missing).security()


def test_a_scheduler_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_indexing, "CONNECT_S", 1)
    with pytest.raises(SourceError, match="expected a scheduler of Dask that lets us in"):
        index_on_cluster([JOB], order(tmp_path), Cluster("tcp://127.0.0.1:1"), no_progress)


def test_a_worker_with_other_versions_or_models_does_nothing(tmp_path: Path) -> None:
    archive = TrackArchive.create(tmp_path / "archive", ArchiveModels("0" * 16, 256, "d" * 64))
    other = do_video(JOB, order(archive.folder, "edge-reid 0.0.1", "numpy 1.0"))
    assert other.failure.startswith("its worker has other versions than edge-reid 0.0.1, numpy 1.0")
    assert do_video(JOB, order(archive.folder)).failure.startswith("its worker has other models")
    assert "expected an archive" in do_video(JOB, order(tmp_path)).failure


def test_a_worker_opens_a_database_by_its_address(pgvector: Postgres) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with psycopg.connect(pgvector.url) as db:
        db.execute("DROP SCHEMA IF EXISTS edge_reid_archive CASCADE")
    where = from_anywhere(pgvector.url)
    create_archive(where, ArchiveModels("0" * 16, 256, "d" * 64))
    order = ClusterOrder(where, Path(EMBEDDING), Path(DETECTOR), "auto", versions_here())
    assert do_video(JOB, order).failure.startswith("its worker has other models")


def test_a_worker_with_a_wrong_password_ends_it_and_is_named(
    pgvector: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    jobs = [VideoJob(Path(f"{number}.mp4"), "gate", JOB.start_time) for number in range(30)]
    with (
        pgvector.with_login("indexer", "right") as where,
        DaskCluster(tmp_path, workers=1) as dask,
    ):
        files = (dask.pki / name for name in ("ca.crt", "server.crt", "server.key"))
        order = ClusterOrder(where, Path(EMBEDDING), Path(DETECTOR), "auto", versions_here())
        began_s = time.monotonic()
        with pytest.raises(
            StoreError, match=f"a worker on {gethostname()}: .* does not let us in: "
        ):
            index_on_cluster(jobs, order, Cluster(dask.url, *files), no_progress)
    assert time.monotonic() - began_s < PATIENCE_S


def test_a_worker_waits_for_a_database_that_restarts(pgvector: Postgres) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    with psycopg.connect(pgvector.url) as db:
        db.execute("DROP SCHEMA IF EXISTS edge_reid_archive CASCADE")
    create_archive(pgvector.url, ArchiveModels("0" * 16, 256, "d" * 64))
    pgvector.crash()
    starting = threading.Timer(1.5, pgvector.start)
    starting.start()
    order = ClusterOrder(pgvector.url, Path(EMBEDDING), Path(DETECTOR), "auto", versions_here())
    assert do_video(JOB, order).failure.startswith("its worker has other models")
    starting.join()
