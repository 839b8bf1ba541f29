"""Named arrays on disk: `.npz` files written whole or not at all, and read with suspicion."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_reid.core.files import UNREADABLE_ZIP, whole_file

Array: TypeAlias = npt.NDArray[Any]


class BrokenArraysError(Exception):
    """The file is no `.npz`, or a damaged one; the reader adds what was expected there."""


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name over what was there, whole or not at all."""
    # Through memory: a zip file that the disk has no room for complains when it is collected.
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    with whole_file(path) as file:
        file.write(packed.getbuffer())


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of a file by name.

    Raises:
        BrokenArraysError: it cannot be read.
    """
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files}
    except (*UNREADABLE_ZIP, AttributeError) as error:
        raise BrokenArraysError(str(error)) from error
