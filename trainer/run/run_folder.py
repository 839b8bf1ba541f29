"""The folder of a run that begins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.data.run_data import CACHE
from trainer.files.disk import full_disk_explained


@contextmanager
def made_for_good(run: Path) -> Iterator[None]:
    """Inside, a run's folder is there; if the block fails, what it has made of it is gone again.

    Raises:
        TrainingError: there is no room for it.
    """
    made = [folder for folder in (run / CACHE, run, *run.parents) if not folder.exists()]
    with full_disk_explained(run):
        run.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if run / CACHE in made:
            shutil.rmtree(run / CACHE, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # somebody else has put something into it
                folder.rmdir()
        raise
