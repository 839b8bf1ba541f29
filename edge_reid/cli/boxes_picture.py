"""Pictures of the people of a photo with a number each, for whoever has to choose one of them.

They show faces, so they are written only when somebody has to look, for the eyes of whoever ran
the command, and in the place of no other file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from edge_reid.core.errors import PhotoError

if TYPE_CHECKING:
    from edge_reid.vision.unclear_photo import CrowdedPhotoError

MOST_PICTURES = 10
"""Of one command: a folder full of crowds is to be sorted, not to be chosen from."""

_OURS = re.compile(r".+\.boxes(-\d+)?\.jpg")


def is_boxes_picture(path: Path) -> bool:
    """Whether a file has the name of such a picture, which is nobody's photo."""
    return _OURS.fullmatch(path.name) is not None


@contextmanager
def numbers_drawn(folder: Path = Path(), *, are_wanted: bool = True) -> Iterator[None]:
    """Have an error of photos that show several people name pictures with their numbers.

    Args:
        folder: where they are written; by default where the command is run.
        are_wanted: whether somebody looks; else errors stay as they are.

    Raises:
        RefusedPhotosError, CrowdedPhotoError: of the block, and where to look.
    """
    from edge_reid.enrolment.enrolment import RefusedPhotosError
    from edge_reid.vision.unclear_photo import CrowdedPhotoError

    if not are_wanted:
        yield
        return
    try:
        yield
    except RefusedPhotosError as error:
        raise RefusedPhotosError([*_drawn(error.mistakes, folder)]) from error
    except CrowdedPhotoError as error:
        (drawn,) = _drawn([error], folder)
        raise drawn from error


def _drawn(mistakes: Sequence[PhotoError], folder: Path) -> Iterator[PhotoError]:
    """The same mistakes, the first crowded photos with their pictures."""
    from edge_reid.vision.unclear_photo import CrowdedPhotoError

    crowded = 0
    for mistake in mistakes:
        if not isinstance(mistake, CrowdedPhotoError):
            yield mistake
            continue
        crowded += 1
        yield _with_picture(mistake, folder) if crowded <= MOST_PICTURES else mistake.one_of_many()


def _with_picture(crowded: CrowdedPhotoError, folder: Path) -> CrowdedPhotoError:
    from edge_reid.vision.annotate import numbered_jpeg
    from edge_reid.vision.photo import read_photo

    try:
        body = numbered_jpeg(read_photo(crowded.path).image, crowded.boxes)
        return crowded.seen_in(_keep(body, folder, crowded.path.stem))
    except OSError as error:
        return crowded.not_drawn(f"no picture with numbers can be written here: {error.strerror}")
    except PhotoError as error:  # it is gone, or another one by now
        return crowded.not_drawn(f"no picture with numbers can be made of it: {error}")


def _keep(body: bytes, folder: Path, photo: str) -> Path:
    """Write a picture under the first free name, unless it is there already.

    Raises:
        OSError: it cannot be written, or does not fit.
    """
    names = (f"{photo}.boxes{again}.jpg" for again in chain([""], (f"-{n}" for n in count(2))))
    for path in (folder / name for name in names):
        with suppress(FileExistsError):
            _write_new(path, body)
            return path
        if path.is_file() and path.stat().st_size == len(body) and path.read_bytes() == body:
            return path
    raise AssertionError("there is always one more name")


def _write_new(path: Path, body: bytes) -> None:
    """Write a file that nobody else reads; raises FileExistsError where there is something."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
    except OSError:
        path.unlink()
        raise
