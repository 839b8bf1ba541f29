"""The file beside the outbox that keeps what is counted of unknown tracks: no face, no vector."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edge_reid.agent.drift_watch import DriftWatch, ScoreBasis, ScoreBlock
from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.matching.score_drift import SCORE_BOUNDS, DriftVerdict, UnknownScores

_VERDICT = TypeAdapter(DriftVerdict)
_BASIS = TypeAdapter(ScoreBasis)

_log = logging.getLogger(__name__)

SAVE_PERIOD_S = 600.0
"""What a power cut may take; so seldom for the sake of the card."""


class ScoreFile:
    """The blocks of all cameras of an agent. Of the thread that takes the frames.

    Args:
        path: of the file; only its owner may read it.
        clock: seconds that only ever rise.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._due_s = clock() + SAVE_PERIOD_S
        self._watches: dict[str, DriftWatch] = {}
        self._kept = read_json_or_none(path, _blocks) or {}
        self._saved = self._kept

    def block_of(self, camera: str) -> ScoreBlock | None:
        """Of an earlier run; None: there is none, or it is damaged."""
        return self._kept.get(camera)

    def keep(self, watches: Mapping[str, DriftWatch]) -> None:
        """Save what these count, by camera, from now on."""
        self._watches = dict(watches)

    def save_when_due(self) -> None:
        """Save now and then."""
        if self._clock() >= self._due_s:
            self.save()

    def save(self) -> None:
        """Write what has changed since; a disk that takes nothing costs the counts alone."""
        self._due_s = self._clock() + SAVE_PERIOD_S
        blocks = {name: watch.block for name, watch in self._watches.items()}
        if blocks == self._saved:
            return
        body = json.dumps({name: _table(block) for name, block in blocks.items()}) + "\n"
        try:
            write_whole(self._path, body.encode(), mode=0o600, is_synced=False)
            self._saved = blocks
        except OSError as error:
            _log.warning("%s: cannot be written: %s", self._path, error.strerror)


def _table(block: ScoreBlock) -> dict[str, Any]:
    verdict = block.verdict
    return {
        "basis": asdict(block.basis),
        "counts": block.scores.counts,
        "known": block.scores.known,
        "verdict": asdict(verdict) if verdict else None,
    }


def _blocks(table: Mapping[str, Any]) -> dict[str, ScoreBlock]:
    return {str(name): _block(each) for name, each in table.items()}


def _block(table: Mapping[str, Any]) -> ScoreBlock:
    """Raises ValueError, TypeError or LookupError where it is none."""
    counts = tuple(int(count) for count in table["counts"])
    verdict = table["verdict"]
    if len(counts) != len(SCORE_BOUNDS) + 1 or min(counts) < 0:
        raise ValueError(f"expected {len(SCORE_BOUNDS) + 1} counts, got {len(counts)}")
    return ScoreBlock(
        _BASIS.validate_python(table["basis"]),
        UnknownScores(counts, int(table["known"])),
        _VERDICT.validate_python(verdict) if verdict else None,
    )
