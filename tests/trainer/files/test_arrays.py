"""Arrays in a file that is no `.npz`, or one no longer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.bent_zips import unreadable_zips

from trainer.files.arrays import BrokenArraysError, read_arrays


def test_whatever_is_wrong_with_a_file_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, names=np.arange(300), emb=np.zeros(9))
    for how, bent in unreadable_zips(path.read_bytes()).items():
        (tmp_path / "bent.npz").write_bytes(bent)
        with pytest.raises(BrokenArraysError):
            pytest.fail(f"{how}: {read_arrays(tmp_path / 'bent.npz')}")
