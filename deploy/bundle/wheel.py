"""A wheel, as its file name and the metadata inside it say."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import Version

from deploy.site.targets import Target
from edge_reid.core.errors import BundleError
from edge_reid.core.files import UNREADABLE_ZIP


@dataclass(frozen=True, slots=True, eq=False)
class Wheel:
    """One wheel file."""

    path: Path
    name: NormalizedName
    version: Version
    metadata: Metadata

    def requirements(self, target: Target, extra: str = "") -> Iterator[Requirement]:
        """What it needs on a target, with an extra of it or without."""
        seen = {**target.environment, "extra": extra}
        for requirement in self.metadata.requires_dist or ():
            if requirement.marker is None or requirement.marker.evaluate(seen):
                yield requirement

    def runs_on(self, target: Target) -> bool:
        """Whether it is for that machine and Python."""
        _, _, _, tags = parse_wheel_filename(self.path.name)
        python = self.metadata.requires_python
        return bool(tags & target.tags) and (
            python is None or python.contains(target.environment["python_full_version"])
        )

    @property
    def licence(self) -> str | None:
        """As its metadata has it: an expression, a short text or a classifier."""
        if self.metadata.license_expression:
            return str(self.metadata.license_expression)
        classified = [
            name.rpartition(" :: ")[2]
            for name in self.metadata.classifiers or ()
            if name.startswith("License :: ") and name.count(" :: ") > 1
        ]
        text = (self.metadata.license or "").strip()
        is_name = text and "\n" not in text
        return text if is_name else " AND ".join(classified) or None

    @property
    def licence_is_expression(self) -> bool:
        """Whether `licence` is one of SPDX."""
        return bool(self.metadata.license_expression)


def read_wheel(path: Path) -> Wheel:
    """The wheel in a file.

    Raises:
        BundleError: it is none, or cannot be read.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            body = archive.read(inside[0])
        return Wheel(path, name, version, Metadata.from_email(body, validate=False))
    except OSError as error:
        raise BundleError(f"wheel {path}: cannot be read: {error.strerror}") from error
    except (InvalidWheelFilename, *UNREADABLE_ZIP) as error:
        raise BundleError(
            f"wheel {path}: expected a wheel, it is damaged or something else: {error}"
        ) from error


def check_closure(wheels: list[Wheel], target: Target, without: frozenset[str]) -> None:
    """Raise BundleError unless these wheels run on a target and need no others.

    Args:
        wheels: that will be installed together.
        target: where.
        without: names of packages that are left out on purpose.

    Raises:
        BundleError: one is for another machine, or one that another needs is missing.
    """
    have = {wheel.name: wheel.version for wheel in wheels}
    for wheel in wheels:
        if not wheel.runs_on(target):
            raise BundleError(
                f"wheel {wheel.path.name}: expected one for Python {target.python} on "
                f"{target.machine} ({target.name}), it is for another; give one that runs there"
            )
        for need in wheel.requirements(target):
            found = have.get(canonicalize_name(need.name))
            is_met = found is not None and need.specifier.contains(found, prereleases=True)
            if not is_met and need.name not in without:
                raise BundleError(
                    f"wheels for {target.name}: {wheel.name} {wheel.version} needs {need}, and "
                    f"there is {found or 'none'}; delete the lock file to choose anew"
                )
