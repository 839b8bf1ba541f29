"""Every error edge-reid raises on purpose.

    EdgeReidError                exit code 1
    ├── UsageError               exit code 2: the command line is wrong
    │   └── ConfigError          exit code 2: the configuration is wrong; lists every mistake
    ├── SourceError              a video, camera or stream cannot be read
    ├── PhotoError               an image cannot be read or kept, or shows not the one person
    ├── ModelError               a model file or its manifest is missing, corrupt or of another kind
    ├── GalleryError             a gallery cannot be read or written
    │   ├── ModelMismatchError   an embedding meets a gallery of another model
    │   ├── NoRoomError          the disk is full; what is there can be read
    │   ├── DamagedError         the file is not what was written
    │   └── SnapshotError        a published gallery is refused, or is not to be had whole
    ├── BrokerError              the MQTT broker refuses us or is not there
    ├── CommandError             an agent refuses a command, or does not answer
    ├── OutboxError              the event store cannot be used
    ├── BundleError              a bundle of a release is refused, or cannot be made or read
    ├── StoreError               events cannot be put where they should be, beside the broker
    ├── FlashError               a card, a boot partition or a device cannot be set up
    └── TrainingError            a data set, a run or an export is not usable

A message says what was expected, what came, and what to do, in one line.
"""

from __future__ import annotations

from collections.abc import Sequence


class EdgeReidError(Exception):
    """Base of all deliberate errors."""

    exit_code = 1


class UsageError(EdgeReidError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration has mistakes; `problems` lists all of them, one line each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        count = f"{len(self.problems)} mistake{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"{where}: {count}: " + "; ".join(self.problems))


class SourceError(EdgeReidError):
    """A video, camera or stream cannot be opened or read."""


class PhotoError(EdgeReidError):
    """An image cannot be read or kept, or does not show the one person it should."""


class ModelError(EdgeReidError):
    """A model file or its manifest is missing, corrupt or of another kind."""


class GalleryError(EdgeReidError):
    """A gallery cannot be read or written."""


class ModelMismatchError(GalleryError):
    """Embeddings of one model meet a gallery of another."""


class NoRoomError(GalleryError):
    """The disk under a gallery is full. It may have room again, so nobody stops for it."""


class DamagedError(GalleryError):
    """The file of a gallery is not what was written: cut short, or changed by the disk."""


class SnapshotError(GalleryError):
    """A published gallery is refused, or cannot be had whole. What was in force stays."""


class BrokerError(EdgeReidError):
    """The MQTT broker is not there, or refuses us."""


class CommandError(EdgeReidError):
    """An agent refuses a command, takes none, or does not answer."""


class OutboxError(EdgeReidError):
    """The durable event store cannot be opened or written."""


class BundleError(EdgeReidError):
    """A bundle of a release is refused, or cannot be made or read. What is installed stays."""


class StoreError(EdgeReidError):
    """A sink, or an agent with `--events`, cannot put events where it was told to."""


class FlashError(EdgeReidError):
    """A card, a boot partition or a device cannot be set up as asked."""


class TrainingError(EdgeReidError):
    """A data set, a training run or an export cannot be used."""
