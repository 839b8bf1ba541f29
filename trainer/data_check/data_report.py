"""What a check of a data set found: numbers, doubts, contradictions, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_reid.core.errors import TrainingError
from edge_reid.vision.embed import Embedder
from trainer.data.datasets import (
    FEWEST,
    NO_CAMERA,
    IntArray,
    check_apart,
    join_sources,
    read_source,
)
from trainer.data_check.duplicates import Duplicates, find_duplicates
from trainer.data_check.label_noise import (
    Alike,
    Limits,
    Mixed,
    Stray,
    find_alike,
    find_mixed,
    find_strays,
    limits_of,
)
from trainer.data_check.scan import PictureScan, people_of, scan_pictures

_REPETITIVE = 0.5
"""Share of distinct pictures below which it pays to leave some out."""


@dataclass(frozen=True, slots=True, eq=False)
class DataReport:
    """Everything that the check has to say."""

    sources: tuple[str, ...]
    unused: tuple[Path, ...]
    seen: PictureScan
    people: tuple[IntArray, ...]
    """For each identity the rows of its readable pictures."""
    duplicates: Duplicates
    limits: Limits
    alike: tuple[Alike, ...]
    mixed: tuple[Mixed, ...]
    strays: tuple[Stray, ...]
    """Not of mixed identities, where every picture is one."""

    def identity_of(self, row: int) -> str:
        """The name of whom the picture is said to show; `junk` for nobody."""
        label = int(self.seen.data.labels[row])
        return self.seen.data.name_of(label)

    @property
    def lonely(self) -> tuple[str, ...]:
        """Identities of one readable picture or none, which training leaves out."""
        names = self.seen.data.identities
        return tuple(n for n, rows in zip(names, self.people, strict=True) if len(rows) < FEWEST)

    @property
    def without_camera(self) -> int:
        """Pictures whose camera is not known."""
        return int(np.sum(self.seen.data.cameras == NO_CAMERA))

    def spans(self) -> dict[str, tuple[float, float, float]]:
        """Least, median and most of what can be counted."""
        cameras, data = self.seen.data.cameras, self.seen.data
        known = [len(np.unique(cameras[rows])) for rows in self.people if len(rows)]
        columns: dict[str, Sequence[int] | IntArray] = {
            "images per identity": [len(rows) for rows in self.people],
            "distinct images per identity": [
                int(self.duplicates.distinct[rows].sum()) for rows in self.people
            ],
            "cameras per identity": known if data.has_cameras else [],
            "width (px)": self.seen.sizes_px[:, 0],
            "height (px)": self.seen.sizes_px[:, 1],
        }
        return {
            name: (float(np.min(v)), float(np.median(v)), float(np.max(v)))
            for name, v in columns.items()
            if len(v)
        }

    def failures(self) -> tuple[str, ...]:
        """Why training would fail or its numbers be wrong; empty when all is well."""
        lines = []
        usable = len(self.people) - len(self.lonely)
        if usable < FEWEST:
            lines.append(
                f"training needs {FEWEST} identities of {FEWEST} readable images or more, there "
                f"{'is' if usable == 1 else 'are'} {usable}; add people, or pictures of them"
            )
        if self.duplicates.shared:
            lines.append(
                f"{_many(len(self.duplicates.shared), 'time')} the same picture is under two "
                "identities: the labels contradict themselves; remove each from the wrong one"
            )
        return tuple(lines)

    def advice(self) -> tuple[str, ...]:
        """What to do about doubts that are no failures, a line for each kind."""
        lines = []
        if self.seen.unreadable:
            lines.append("unreadable files are left out of training; replace or delete them")
        if self.lonely:
            lines.append("identities with one picture are left out of training; add pictures")
        if self.alike:
            lines.append("merge the folders of two identities that are one person")
        if self.mixed:
            lines.append("split the identities that hold two people")
        if self.strays:
            lines.append("look at the pictures unlike the rest of their identity; move wrong ones")
        if self.duplicates.distinct.mean() < _REPETITIVE:
            typical = int(self.spans()["distinct images per identity"][1])
            lines.append(
                "most pictures repeat another one: set images_per_identity to about "
                f"{max(FEWEST, typical)} in a recipe, and keep frames further apart next time"
            )
        if 0 < self.without_camera < len(self.seen.data):
            lines.append(
                f"{_many(self.without_camera, 'picture')} without a camera: evaluation leaves the "
                "cross-camera rule out until every picture has one"
            )
        return tuple(lines)

    def as_dict(self) -> dict[str, Any]:
        """The whole report for `--json` and `report.json`."""
        paths, names = self.seen.data.paths, self.seen.data.identities
        return {
            "sources": list(self.sources),
            "identities": len(names),
            "images": len(paths),
            "cameras": len(np.unique(self.seen.data.cameras)) if not self.without_camera else None,
            "images_without_camera": self.without_camera,
            "spans": {name: list(span) for name, span in self.spans().items()},
            "images_of": {n: len(rows) for n, rows in zip(names, self.people, strict=True)},
            "unreadable": [
                {"path": str(file.path), "reason": file.reason} for file in self.seen.unreadable
            ],
            "unused": [str(path) for path in self.unused],
            "left_out_of_training": list(self.lonely),
            "exact_copies": self.duplicates.copies,
            "near_duplicates": int(np.sum(~self.duplicates.distinct)),
            "same_picture_two_identities": [
                {
                    "paths": [str(paths[pair.first]), str(paths[pair.second])],
                    "identities": [self.identity_of(r) for r in (pair.first, pair.second)],
                    "exact": pair.exact,
                }
                for pair in self.duplicates.shared
            ],
            "limits": asdict(self.limits),
            "may_be_one_person": [
                {
                    "identities": [names[pair.first], names[pair.second]],
                    "similarity": round(pair.similarity, 4),
                }
                for pair in self.alike
            ],
            "may_be_two_people": [
                {
                    "identity": names[doubt.identity],
                    "similarity": round(doubt.similarity, 4),
                    "parts": [[str(paths[row]) for row in part] for part in doubt.parts],
                }
                for doubt in self.mixed
            ],
            "may_show_somebody_else": [
                {
                    "path": str(paths[stray.row]),
                    "identity": self.identity_of(stray.row),
                    "similarity": round(stray.similarity, 4),
                    "resembles": None if stray.resembles is None else names[stray.resembles],
                }
                for stray in self.strays
            ],
            "failures": list(self.failures()),
            "advice": list(self.advice()),
        }


def check_data(sources: Sequence[Path], embedder: Embedder) -> DataReport:
    """Read the sources as training would, look at each picture, and judge the labels.

    Raises:
        TrainingError, ConfigError: a source cannot be used at all, as `read_source`.
        ModelError: the model's manifest has no quantiles to judge by.
    """
    limits = limits_of(embedder.manifest)
    parts = [read_source(source) for source in sources]
    check_apart(parts)
    data = parts[0] if len(parts) == 1 else join_sources(parts, [str(p) for p in sources])
    if not data.identities:
        raise TrainingError(
            f"data: expected pictures of people, got {len(data)} of nobody: Market-1501's junk and "
            "distractors; give the folder that has the people"
        )
    seen = scan_pictures(data, embedder)
    people = tuple(people_of(seen.data))
    source_of = np.repeat(np.arange(len(parts)), [len(part.identities) for part in parts])
    mixed = find_mixed(seen.embeddings, people, limits)
    doubted = {doubt.identity for doubt in mixed}
    strays = find_strays(seen.embeddings, people, limits)
    return DataReport(
        tuple(str(source) for source in sources),
        tuple(path for part in parts for path in part.unused),
        seen,
        people,
        find_duplicates(seen),
        limits,
        find_alike(seen.embeddings, people, limits, source_of),
        mixed,
        tuple(s for s in strays if int(seen.data.labels[s.row]) not in doubted),
    )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
