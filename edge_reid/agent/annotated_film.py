"""A film of a run: every frame with boxes, track numbers and decisions."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from pathlib import Path

from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.capture.open_source import is_live
from edge_reid.core.errors import UsageError
from edge_reid.core.files import check_replaceable
from edge_reid.vision.annotate import VideoWriter, draw, label_for
from edge_reid.vision.film_file import is_film

_PLACEHOLDER = "{camera}"
_ROOM_BYTES = 65536
"""With less, what the encoder had in hand at the end did not fit."""

_log = logging.getLogger(__name__)


def film_paths(given: Path, cameras: Sequence[str]) -> dict[str, Path]:
    """Where the film of each camera goes.

    >>> film_paths(Path("out/{camera}.webm"), ["gate", "door"])["door"]
    PosixPath('out/door.webm')

    Raises:
        UsageError: there are several cameras, and the name does not tell them apart.
    """
    if len(cameras) > 1 and _PLACEHOLDER not in given.name:
        example = given.with_name(f"{given.stem}-{_PLACEHOLDER}{given.suffix}")
        raise UsageError(
            f"film {given}: expected {_PLACEHOLDER} in its name, as there are "
            f"{len(cameras)} cameras and each has a film; try {example}"
        )
    return {name: given.with_name(given.name.replace(_PLACEHOLDER, name)) for name in cameras}


def check_films(films: Collection[Path], sources: Iterable[str]) -> None:
    """Raise UsageError if a film would be written over what is none, or a video that is watched."""
    watched = [Path(uri) for uri in sources if not is_live(uri)]
    for film, video in product(films, watched):
        if _are_the_same(film, video):
            raise UsageError(
                f"film {film}: expected another file than the video that is watched, got the same; "
                "give another path"
            )
    for film in films:
        if not _is_pipe(film):  # which may be watched: a film is written into what is there
            check_replaceable(film, f"film {film}", "an older film of --annotate", is_film)


def _are_the_same(film: Path, video: Path) -> bool:
    try:
        return film.samefile(video)
    except OSError:  # one is not there, or whoever opens it says why
        return False


def _is_pipe(path: Path) -> bool:
    try:
        return path.is_fifo()
    except OSError:  # whoever writes it says why
        return False


class AnnotatedFilm(Observer):
    """Draws and writes what it observes of one camera.

    Args:
        camera: its name.
        writer: is closed at the end.
    """

    def __init__(self, camera: str, writer: VideoWriter) -> None:
        self.camera = camera
        self._writer = writer

    def stepped(self, step: Step, /) -> None:
        labels = {track_id: label_for(decision) for track_id, decision in step.decisions.items()}
        self._writer.write(draw(step.frame.image, step.tracks, labels))

    def closed(self) -> None:
        self._writer.close()
        if _is_disk_full(self._writer.path.parent):  # which OpenCV keeps to itself
            _log.error(
                "film %s: the disk is full, so that its end is missing; make room and run again",
                self._writer.path,
            )


def _is_disk_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _ROOM_BYTES
    except OSError:  # the folder is gone, and the film with it
        return False
