"""Many videos into one archive, by many machines that share it: Dask gives them out.

One task is one video, done by `add_video` as on a single machine. What a worker that was killed had
not finished is given to another. Needs the extra `cluster`.

Whoever reaches a scheduler or a worker of Dask can run programs there, as it unpickles what it is
sent: beyond one machine only TLS with certificates on both sides is taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import gethostname
from typing import Any

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker
from distributed.security import Security

from edge_reid import __version__
from edge_reid.archive.archive_urls import open_archive
from edge_reid.archive.indexing import IndexingResult
from edge_reid.archive.video_tracks import PATIENCE_S, ModelChoice, VideoJob, add_video
from edge_reid.archive.video_worker import VideoOutcome, outcome_of
from edge_reid.core.bundled_models import is_bare_name, is_shipped, shipped_model
from edge_reid.core.config.vision_settings import RuntimeName
from edge_reid.core.errors import ConfigError, ModelMismatchError, SourceError
from edge_reid.core.progress import Progress
from edge_reid.core.server_url import DASK_PORTS, ServerUrl, address, is_loopback

CONNECT_S = 15
"""To reach the scheduler, and then until it has a worker."""
_MATTERS = ("numpy", "opencv-python-headless", "av", "lap", "ai-edge-litert", "tflite-runtime")
"""Of other versions the embeddings may be others."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the scheduler is, and how to get in."""

    url: str
    """`tls://host:port`; on this machine `tcp://127.0.0.1:port` too."""
    ca_file: Path | None = None
    """Whose certificates are let in: an authority for this cluster alone, as Dask checks no names.
    """
    cert_file: Path | None = None
    key_file: Path | None = None

    def security(self) -> Security | None:
        """For Dask; None: plain TCP on this machine.

        Raises:
            ConfigError: an option is wrong; all mistakes at once.
        """
        mistakes = []
        files = (self.ca_file, self.cert_file, self.key_file)
        try:
            url = ServerUrl.parse(self.url, DASK_PORTS)
        except ValueError as error:
            raise ConfigError("--cluster", [f"{self.url}: {error}"]) from None
        if url.scheme == "tls" and not all(files):
            mistakes.append("tls:// needs --ca-file, --cert-file and --key-file")
        if url.scheme == "tcp" and not is_loopback(url.nodes[0][0]):
            mistakes.append("tcp:// lets everybody on the network run programs there; use tls://")
        mistakes += [f"{file}: cannot be read" for file in files if file and not file.is_file()]
        if mistakes:
            raise ConfigError("--cluster", mistakes)
        if url.scheme == "tcp":
            return None
        return Security(
            tls_ca_file=str(self.ca_file),
            tls_client_cert=str(self.cert_file),
            tls_client_key=str(self.key_file),
            require_encryption=True,
        )

    @property
    def address(self) -> str:
        """With the usual port, if none is given."""
        url = ServerUrl.parse(self.url, DASK_PORTS)
        return f"{url.scheme}://{address(*url.nodes[0])}"


@dataclass(frozen=True, slots=True)
class ClusterOrder:
    """What every worker must know; paths are the same on all machines."""

    archive: str
    """A folder, or the address of a database, to which each worker has the password."""
    model: Path
    """Of a shipped one its name alone: edge-reid may lie elsewhere on a worker."""
    detector: Path
    runtime: RuntimeName
    versions: tuple[str, ...]
    """That a worker must have (`versions_here`)."""


def versions_here() -> tuple[str, ...]:
    """Of what embeddings depend on."""
    return (f"edge-reid {__version__}", *(f"{name} {_version(name)}" for name in _MATTERS))


def from_any_machine(model: Path) -> Path:
    """How an order names a model: a shipped one by its name, another by its whole path."""
    return Path(model.name) if is_shipped(model) else model.absolute()


def _here(model: Path) -> Path:
    return shipped_model(model.name) if is_bare_name(model) else model


def index_on_cluster(
    jobs: Sequence[VideoJob], order: ClusterOrder, cluster: Cluster, progress: Progress
) -> IndexingResult:
    """Put the tracks of videos into an archive that is there.

    Args:
        jobs: the videos, by paths that are the same on all machines.
        order: what every worker must know.
        cluster: whose workers do it.
        progress: called with the videos done, and all.

    Raises:
        ConfigError: the cluster is not given rightly.
        SourceError: it cannot be reached, or has no worker.
        StoreError: the archive does not let one of its workers in; the others finish their videos.
    """
    result = IndexingResult()
    with _connected(cluster) as client:
        futures = client.map(do_video, jobs, order=order, pure=False)
        job_of = dict(zip(futures, jobs, strict=True))
        ended = as_completed(futures, with_results=True, raise_errors=False)
        for done, (future, outcome) in enumerate(ended, 1):
            result.count(job_of[future], _outcome(future, outcome))
            progress(done, len(jobs))
    return result


def do_video(job: VideoJob, order: ClusterOrder) -> VideoOutcome:
    """One video, by a worker."""
    outcome = outcome_of(lambda: _add(job, order))
    if outcome.ends_all:  # it would take one video after the other from the workers that can
        return replace(outcome, failure=f"a worker on {gethostname()}: {outcome.failure}")
    return outcome


def _add(job: VideoJob, order: ClusterOrder) -> int | None:
    if missing := set(order.versions) - set(versions_here()):
        raise SourceError(
            f"its worker has other versions than {', '.join(sorted(missing))}: the embeddings "
            "could be others; install the same everywhere"
        )
    choice = ModelChoice(_here(order.model), _here(order.detector), order.runtime)
    archive = open_archive(order.archive, "--out", patience_s=PATIENCE_S)
    if archive.models != choice.identity:
        raise ModelMismatchError("its worker has other models than the archive was made with")
    return add_video(job, choice, order.archive)


def _outcome(future: Future, outcome: Any) -> VideoOutcome:
    if isinstance(outcome, VideoOutcome):
        return outcome
    if future.status != "error":
        return VideoOutcome(failure="the connection to the cluster was lost")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return VideoOutcome(failure="every worker that began with it died")
    return VideoOutcome(failure=f"unexpected {type(error).__name__}: {error}")


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Client]:
    security = cluster.security()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is in the result
    try:
        client = Client(cluster.address, security=security, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{cluster.url}: expected a scheduler of Dask that lets us in, got: {error}"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except asyncio.TimeoutError as error:  # with Python 3.10 not the built-in one
            raise SourceError(
                f"{cluster.url}: expected workers, got none within {CONNECT_S} s; start `dask "
                "worker` on the machines"
            ) from error
        yield client


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
