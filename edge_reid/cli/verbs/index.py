"""`edge-reid index`: recorded video into an archive that can be searched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edge_reid.cli.options import DetectorOption, RuntimeOption, model_option

if TYPE_CHECKING:
    from edge_reid.archive.indexing import IndexingResult
    from edge_reid.archive.video_tracks import ModelChoice, VideoJob

SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".ts", ".m4v", ".webm"}
"""Of a folder; a file that is named may have any."""
NO_TIME = "1970-01-01T00:00:00Z"
_TIME_IN_NAME = re.compile(
    r"(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])[T_ -]?"
    r"([01]\d|2[0-3])[-:._]?([0-5]\d)[-:._]?([0-5]\d)"
)


def index(
    videos: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO", help="Video files, and folders of them."),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="ARCHIVE", help="The archive: a folder, or postgresql://user@host/database."
        ),
    ],
    camera: Annotated[
        str | None, typer.Option(help="Whose videos. [default: each by the name of its folder]")
    ] = None,
    start_time: Annotated[
        str | None,
        typer.Option(
            help="Time of the first frame, of one video, RFC 3339. [default: by its name]"
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Videos at once. [default: as many as there are cores]"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Let Dask's workers do it: tls://host:8786, its scheduler."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="CA of the cluster, and of nothing else.")
    ] = None,
    cert_file: Annotated[Path | None, typer.Option(help="Our certificate for the cluster.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="The private key of our certificate.")
    ] = None,
    model: Annotated[Path | None, model_option("the archive's, else the shipped one")] = None,
    detector: DetectorOption = None,
    runtime: RuntimeOption = "auto",
) -> None:
    """Put the people of recorded video into an archive. For `search`; without pictures.

    It may be stopped at any time: what is done is not done again.
    """
    from edge_reid.archive.archive_urls import create_archive
    from edge_reid.archive.video_tracks import ModelChoice
    from edge_reid.cli.verb_progress import stages
    from edge_reid.core.config.vision_settings import runtime_name

    jobs = jobs_of(videos, camera, start_time)
    there = _ClusterOptions(cluster, ca_file, cert_file, key_file)
    there.check(processes)
    if there.url is None:  # before an archive is made that would be left behind, empty
        _check_any_opens(jobs)
    if start_time is None:
        _say_undated(jobs)
    choice = ModelChoice(*_models(out, model, detector), runtime_name(runtime))
    archive = create_archive(out, choice.identity)
    if there.url is None:
        result = _index_here(jobs, choice, out, processes)
    else:
        result = _index_there(jobs, out, there, choice)
    _check_any_read(result.failed, jobs)
    _say(result, jobs, out)
    with stages() as progress:
        archive.make_index(progress)
    _check_all_read(result, jobs)


def _models(out: str, model: Path | None, detector: Path | None) -> tuple[Path, Path]:
    """Embedding model and detector: where none is named the archive's, of a new one the default.

    Raises:
        ModelMismatchError: the archive is of none that is shipped.
    """
    from edge_reid.archive.archive_urls import archived_models
    from edge_reid.core.bundled_models import default_model
    from edge_reid.core.redact import redact

    if model and detector:
        return model, detector
    there, name = archived_models(out), redact(out)
    if there is None:
        return model or default_model("embedding"), detector or default_model("detector")
    return model or there.shipped_embedding(name), detector or there.shipped_detector(name)


class _ClusterOptions(NamedTuple):
    """Options of a cluster, as given."""

    url: str | None
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None

    def check(self, processes: int | None) -> None:
        from edge_reid.core.errors import UsageError
        from edge_reid.core.extras import require

        if self.url is None and any(self[1:]):
            raise UsageError("--ca-file, --cert-file, --key-file: are of no use without --cluster")
        if self.url is not None and processes:
            raise UsageError("--processes: is of no use with --cluster, which has its own workers")
        if self.url is not None:
            require("cluster", "distributed")


def _index_here(
    jobs: Sequence[VideoJob], choice: ModelChoice, out: str, processes: int | None
) -> IndexingResult:
    from edge_reid.archive.indexing import index_videos
    from edge_reid.cli.verb_progress import counting

    cores = processes or len(os.sched_getaffinity(0))
    with counting("videos") as progress:
        return index_videos(jobs, choice, out, processes=cores, progress=progress)


def _index_there(
    jobs: Sequence[VideoJob],
    out: str,
    there: _ClusterOptions,
    choice: ModelChoice,
) -> IndexingResult:
    from dataclasses import replace

    from edge_reid.archive.archive_urls import from_anywhere
    from edge_reid.archive.cluster_indexing import (
        Cluster,
        ClusterOrder,
        from_any_machine,
        index_on_cluster,
        versions_here,
    )
    from edge_reid.cli.verb_progress import counting

    order = ClusterOrder(
        from_anywhere(out),
        from_any_machine(choice.model),
        from_any_machine(choice.detector),
        choice.runtime,
        versions_here(),
    )
    everywhere = [replace(job, path=job.path.absolute()) for job in jobs]
    cluster = Cluster(str(there.url), *there[1:])
    with counting("videos") as progress:
        return index_on_cluster(everywhere, order, cluster, progress)


def _say_undated(jobs: Iterable[VideoJob]) -> None:
    """Before they are done: to change a time in an archive, its video is to be deleted there."""
    undated = [job.path for job in jobs if job.start_time == NO_TIME]
    if undated:
        more = f" and {len(undated) - 1} more" if undated[1:] else ""
        typer.echo(
            f"{undated[0]}{more}: without a time in the name the first frame counts as taken on "
            "1970-01-01; give --start-time of a single video, or names like "
            "2026-03-01T12-00-00.mp4",
            err=True,
        )


def _say(result: IndexingResult, jobs: Sequence[VideoJob], out: str) -> None:
    """What became of the videos."""
    from edge_reid.cli.output import count
    from edge_reid.core.redact import redact

    _name_left_out(result.failed)
    typer.echo(f"{count(jobs, 'video')}, {result.tracks} tracks are new in {redact(out)}")
    if result.kept:
        typer.echo(
            f"{result.kept} of these: in it already, and camera and start time stay as they were; "
            "to change them, delete what is there of the video and index it again"
        )


def _name_left_out(failed: Mapping[Path, str]) -> None:
    for path, reason in failed.items():
        typer.echo(f"left out {path}: {reason}", err=True)


def _check_any_opens(jobs: Sequence[VideoJob]) -> None:
    """As `_check_any_read`, before anything is done: one that opens is enough."""
    from edge_reid.archive.video_tracks import opening_mistake

    mistakes = dict[Path, str]()
    for job in jobs:
        mistakes[job.path] = opening_mistake(job.path)
        if not mistakes[job.path]:
            return
    _check_any_read(mistakes, jobs)


def _check_any_read(failed: Mapping[Path, str], jobs: Sequence[VideoJob]) -> None:
    """Raise SourceError if no video can be read; of several each is named before."""
    from edge_reid.cli.output import count
    from edge_reid.core.errors import SourceError, VideoError

    if failed.keys() < {job.path for job in jobs}:
        return
    if len(failed) == 1:
        ((path, reason),) = failed.items()
        raise VideoError(path, reason)
    _name_left_out(failed)
    raise SourceError(f"expected {count(jobs, 'video')} that can be read, got none")


def _check_all_read(result: IndexingResult, jobs: Sequence[VideoJob]) -> None:
    """Raise SourceError if a video could not be read; the others are in the archive."""
    from edge_reid.cli.output import count
    from edge_reid.core.errors import SourceError

    if result.failed:
        readable = len(jobs) - len(result.failed)
        raise SourceError(
            f"expected {count(jobs, 'video')} that can be read, got {readable}; the others are in "
            "the archive"
        )


def jobs_of(videos: Iterable[Path], camera: str | None, start_time: str | None) -> list[VideoJob]:
    """What is to be done.

    Raises:
        UsageError: there is no video, a camera has no name, or a time is none, or for several.
    """
    import time

    from edge_reid.archive.video_tracks import VideoJob
    from edge_reid.cli.periods import moment_utc_s
    from edge_reid.core.errors import UsageError
    from edge_reid.wire.events import rfc3339

    files = _distinct(file for path in videos for file in _files(path))
    if not files:
        raise UsageError("VIDEO: expected video files, got none")
    if start_time and len(files) > 1:
        raise UsageError(
            f"--start-time: expected one video, got {len(files)}; put the time into their names"
        )
    given = rfc3339(moment_utc_s("--start-time", start_time, time.time())) if start_time else None
    return [
        VideoJob(file, _camera_of(file, camera), given or _time_in(file.stem)) for file in files
    ]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)


def _distinct(files: Iterable[Path]) -> list[Path]:
    """Each file once, by the first of the paths that it is named by."""
    paths = dict[Path, Path]()
    for file in files:
        paths.setdefault(file.resolve(), file)
    return list(paths.values())


def _camera_of(file: Path, camera: str | None) -> str:
    from edge_reid.cli.broker_options import topic_name
    from edge_reid.core.errors import UsageError

    if camera is not None:
        return topic_name("--camera", camera)
    name = file.resolve().parent.name.lower()
    try:
        return topic_name("--camera", name)
    except UsageError:
        raise UsageError(
            f"{file}: expected to lie in a folder named after its camera, got {name!r}; give"
            " --camera"
        ) from None


def _time_in(stem: str) -> str:
    match = _TIME_IN_NAME.search(stem)
    if match is None:
        return NO_TIME
    year, month, day, hour, minute, second = match.groups()
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"
