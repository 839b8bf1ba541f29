"""`environment.json` in the folder of a run: what its numbers depend on beside its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_reid.core.errors import TrainingError
from edge_reid.core.validation_errors import describe_mistakes

ENVIRONMENT = "environment.json"


class PicturesOfRun(BaseModel):
    """The pictures that a run began with, as far as they are read again."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    training_images: int
    training_identities: int
    held_out_identities: tuple[str, ...] | None = None
    """None: an older run, which does not say."""
    held_out_photos: tuple[str, ...] = ()


class RunEnvironment(BaseModel):
    """What is noted of a run."""

    model_config = ConfigDict(frozen=True)

    pictures: PicturesOfRun = Field(alias="data")
    processes: tuple[dict[str, Any], ...] = ()
    """Those that have worked on the run, oldest first."""


def read_environment(run: Path) -> RunEnvironment | None:
    """What is noted of a run; None: nothing yet.

    Raises:
        TrainingError: the file is damaged or cannot be read. To go on as if there were none could
            train on people who were held out.
    """
    path = run / ENVIRONMENT
    try:
        return RunEnvironment.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise _unusable(path, f"is damaged: {describe_mistakes(error)[0]}") from error


def _unusable(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"{path}: expected the pictures of the run and whom it held out, got a file that {why}; "
        "put it back from a copy, or train again"
    )
