"""All errors that edge-reid raises on purpose.

    EdgeReidError                exit code 1
    ├── UsageError               exit code 2: the command line is wrong
    │   └── ConfigError          exit code 2: the configuration is wrong; lists every mistake
    ├── SourceError              a video, camera or stream cannot be read
    │   └── VideoError           a video file cannot; has its name and the reason apart
    ├── PhotoError               an image cannot be read or kept, or does not show one person
    ├── ModelError               a model file or its manifest is missing, corrupt or of another kind
    ├── ModelChangeError         the gallery in force is of another model than the agent runs with
    ├── GalleryError             a gallery cannot be read or written
    │   ├── ModelMismatchError   an embedding meets a gallery of another model
    │   ├── NoRoomError          the disk is full; what is there can be read
    │   ├── DamagedError         the file is not what was written
    │   └── SnapshotError        a published gallery is refused, or cannot be fetched whole
    ├── BrokerError              the MQTT broker cannot be reached, or refuses us
    ├── CommandError             an agent refuses a command, or does not answer
    ├── OutboxError              the event store cannot be used
    ├── BundleError              a bundle of a release is refused, or cannot be made or read
    ├── StoreError               a sink or `--events` cannot store events
    ├── FlashError               a card, a boot partition or a device cannot be set up
    └── TrainingError            a data set, a run or an export is not usable

A message is one line: expected …, got …; what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class EdgeReidError(Exception):
    """Base of all deliberate errors. They can be pickled, whatever they are made of."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """How it is told: in one line, or in one for each of its mistakes under a heading."""
        return (str(self),)

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is else made anew from its message, which is not what its class takes
        return _restored, (type(self), self.args, vars(self))


class UsageError(EdgeReidError):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration has mistakes; `problems` lists all of them, a line each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        count = f"{len(self.problems)} mistake{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"{where}: {count}: " + "; ".join(self.problems))

    @property
    def lines(self) -> tuple[str, ...]:
        """A line for each mistake, if there are several."""
        if len(self.problems) == 1:
            return (str(self),)
        heading = f"{self.where}: {len(self.problems)} mistakes"
        return (heading, *(f"  - {problem}" for problem in self.problems))


class SourceError(EdgeReidError):
    """A video, camera or stream cannot be opened or read."""


class VideoError(SourceError):
    """A video file cannot be opened or read; `reason` is for a list that names the files itself."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"video {path}: {reason}")


class PhotoError(EdgeReidError):
    """An image cannot be read or kept, or does not show exactly one person."""


class ModelError(EdgeReidError):
    """A model file or its manifest is missing, corrupt or of another kind."""


class ModelChangeError(EdgeReidError):
    """The gallery in force is of another shipped model: the agent is to be started anew with it."""


class GalleryError(EdgeReidError):
    """A gallery cannot be read or written."""


class ModelMismatchError(GalleryError):
    """An embedding and a gallery are of different models."""


class NoRoomError(GalleryError):
    """The disk of a gallery is full. The run goes on, since there may be room again later."""


class DamagedError(GalleryError):
    """The file of a gallery is not what was written: cut short, or changed on the disk."""


class SnapshotError(GalleryError):
    """A published gallery is refused, or cannot be fetched whole. The one in force stays."""


class BrokerError(EdgeReidError):
    """The MQTT broker cannot be reached, or refuses us."""


class CommandError(EdgeReidError):
    """An agent refuses a command, takes none, or does not answer."""


class OutboxError(EdgeReidError):
    """The durable event store cannot be opened or written."""


class BundleError(EdgeReidError):
    """A bundle of a release is refused, or cannot be made or read. The installed one stays."""


class StoreError(EdgeReidError):
    """A sink, or an agent with `--events`, cannot store events."""


class FlashError(EdgeReidError):
    """A card, a boot partition or a device cannot be set up as asked."""


class TrainingError(EdgeReidError):
    """A data set, a training run or an export cannot be used."""


def _restored(kind: type[EdgeReidError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """An error as it was before it was pickled."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error
