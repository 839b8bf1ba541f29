"""Hits and their crops in files of this device, where `web.keep_crops_s` wants them.

| file | what it is |
|---|---|
| `hit-<start>-<number>-<hash>.jpg` | a crop, by the first digits of its SHA-256 |
| `hit-<start>-<number>.json` | the hit: all that the page tells, and which crops are its own |

A crop that no hit names is left over from a power cut, and goes. Files of others stay.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edge_reid.core.files import read_json_or_none, write_whole
from edge_reid.matching.index import Index
from edge_reid.web.hit_naming import HitNaming, RenamedHits, Renaming
from edge_reid.web.hit_record import HitRecord

SPARE_BYTES = 64 << 20
"""Of a disk that has less left nothing is taken: events need it."""
_STEM = re.compile(r"hit-\d{10}-\d{6,}")
_OURS = re.compile(rf"\.?{_STEM.pattern}(-[0-9a-f]{{12}}\.jpg|\.json)(\.\d+\.part)?")
_RECORD: TypeAdapter[HitRecord] = TypeAdapter(HitRecord)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _KeptHit:
    kept_utc_s: float
    names: frozenset[str]
    """Of all people whom it names."""
    files: tuple[str, ...]
    """Of its crops."""
    size_bytes: int


class KeptHits:
    """Hits on disk, 0600. Several threads may use it; a disk that fails costs the pictures alone.

    What was kept before is taken in at the beginning; what cannot be read is deleted.

    Args:
        folder: made when it is needed, 0700.
        keep_s: how long, since a hit was last told.
        max_bytes: of all files; beyond it the oldest hits go.
        clock: Unix seconds.
    """

    def __init__(
        self, folder: Path, *, keep_s: float, max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._start = int(clock())
        self._lock = threading.RLock()  # guards all below, and the files
        self._hits: OrderedDict[str, _KeptHit] = OrderedDict()  # by stem, the oldest first
        self._least_version = 0  # of a gallery that knows all names
        self._renaming: Renaming | None = None
        self._has_warned = False
        self._take_in()

    def named(self, record: HitRecord, before: HitRecord | None) -> HitRecord:
        """The record, with the names of the files that its crops have, or are about to have.

        Args:
            record: newest of its track.
            before: the one before, whose crops may be in no memory any more.
        """
        filed = {crop.quality: crop.file for crop in before.crops} if before else {}
        crops = tuple(
            replace(crop, file=self._crop_name(record, crop.jpeg))
            if crop.jpeg
            else replace(crop, file=filed.get(crop.quality))
            for crop in record.crops
        )
        return replace(record, crops=crops)

    def keep(self, record: HitRecord) -> None:
        """Write a named record and its crops, in the place of the one before."""
        with self._lock, self._warned():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(self._folder).free < SPARE_BYTES:
                raise OSError(f"less than {SPARE_BYTES >> 20} MB are left on the disk")
            for crop in record.crops:
                if crop.jpeg and crop.file and not (self._folder / crop.file).exists():
                    self._write(crop.file, crop.jpeg)
            as_called_now = record.after(self._renaming)
            self._write_record(self._stem(record.number), as_called_now, self._clock())
            self._has_warned = False
            self.age()

    def age(self) -> None:
        """Delete what is too old or too much."""
        with self._lock, self._warned():
            oldest_utc_s = self._clock() - self._keep_s
            total_bytes = sum(kept.size_bytes for kept in self._hits.values())
            while self._hits:
                stem, first = next(iter(self._hits.items()))
                if first.kept_utc_s > oldest_utc_s and total_bytes <= self._max_bytes:
                    return
                total_bytes -= first.size_bytes
                self._erase(stem)

    def forget_gone(self, index: Index) -> None:
        """Delete the hits of people who are not enrolled any more, and their names in others."""
        with self._lock:
            if index.version >= self._least_version:
                self._revise(
                    lambda record: record.among(index), lambda names: not _all_in(names, index)
                )

    def rename(self, name: str, new: str, version: int) -> dict[str, HitNaming]:
        """Have the hits of a person go on under another name, as of that version of the gallery.

        Returns:
            What they said until now, by stem.
        """
        with self._lock:
            self._renaming, self._least_version = Renaming(name, new, version), version
            before = self._revise(
                lambda record: record.renamed(name, new), lambda names: name in names
            )
            return {stem: record.naming for stem, record in before.items()}

    def take_names_back(self, renamed: RenamedHits, version: int) -> None:
        """Have hits say what they said before a person got the name of another, as of that version
        of the gallery, but for those that were decided anew since.
        """
        with self._lock:
            self._renaming, self._least_version = None, version
            for stem, before in renamed.kept.items():
                if stem in self._hits:
                    self._revise_one(stem, partial(_renamed_back, renamed=renamed, before=before))

    def clear(self) -> None:
        """Delete all."""
        with self._lock:
            self._hits.clear()
            forget_kept(self._folder)

    @property
    def stems(self) -> tuple[str, ...]:
        """Of all hits that are kept, newest first."""
        with self._lock:
            return tuple(reversed(self._hits))

    @property
    def files(self) -> frozenset[str]:
        """Of all crops that are kept."""
        with self._lock:
            return frozenset(file for kept in self._hits.values() for file in kept.files)

    def hit(self, stem: str) -> HitRecord | None:
        """A hit that is kept; None: there is none of this stem."""
        with self._lock:
            found = self._read(stem) if stem in self._hits else None
        return found[1] if found else None

    def jpeg(self, file: str) -> bytes | None:
        """A crop that is kept, by the name of its file; None: there is none."""
        with self._lock, suppress(OSError):
            if file in self.files:
                return (self._folder / file).read_bytes()
        return None

    def _revise(
        self,
        revise: Callable[[HitRecord], HitRecord | None],
        concerns: Callable[[frozenset[str]], bool],
    ) -> dict[str, HitRecord]:
        """Revise the hits that name whom it concerns; returns them as they were, by stem."""
        stems = [stem for stem, kept in self._hits.items() if concerns(kept.names)]
        before = {stem: self._revise_one(stem, revise) for stem in stems}
        return {stem: record for stem, record in before.items() if record}

    def _revise_one(
        self, stem: str, revise: Callable[[HitRecord], HitRecord | None]
    ) -> HitRecord | None:
        """Put a revised hit in the place of one, or delete that; also where no other can be
        written: a full disk is no reason to keep the name of who was removed. Returns it as it
        was.
        """
        with self._warned():
            found = self._read(stem)
            revised = revise(found[1]) if found else None
            if found is None or revised is None:
                self._erase(stem)
                return None
            try:
                self._write_record(stem, revised, found[0], is_newer=False)
            except OSError:
                self._erase(stem)
                raise
            return found[1]
        return None

    def _take_in(self) -> None:
        with self._warned():
            files = _files(self._folder)
            stems = sorted(path.stem for path in files if path.suffix == ".json")
            found = [(stem, read) for stem in stems if (read := self._read(stem))]
            for stem, (kept_utc_s, record) in sorted(found, key=lambda hit: hit[1][0]):
                self._note(stem, record, min(kept_utc_s, self._clock()))
            ours = {f"{stem}.json" for stem in self._hits}
            ours.update(file for kept in self._hits.values() for file in kept.files)
            for path in files:
                if path.name not in ours:
                    path.unlink(missing_ok=True)
        self.age()

    def _read(self, stem: str) -> tuple[float, HitRecord] | None:
        return read_json_or_none(self._folder / f"{stem}.json", _parsed)

    def _write_record(
        self, stem: str, record: HitRecord, kept_utc_s: float, *, is_newer: bool = True
    ) -> None:
        table = _RECORD.dump_python(record.without_crops(), mode="json")
        body = json.dumps({"kept_utc_s": kept_utc_s, "record": table})
        self._write(f"{stem}.json", body.encode())
        before = self._hits.get(stem)
        self._note(stem, record, kept_utc_s)
        if is_newer:
            self._hits.move_to_end(stem)
        for file in set(before.files if before else ()) - set(self._hits[stem].files):
            (self._folder / file).unlink(missing_ok=True)

    def _note(self, stem: str, record: HitRecord, kept_utc_s: float) -> None:
        files = tuple(crop.file for crop in record.crops if crop.file)
        paths = [self._folder / name for name in (f"{stem}.json", *files)]
        size_bytes = sum(path.stat().st_size for path in paths if path.exists())
        self._hits[stem] = _KeptHit(kept_utc_s, record.names, files, size_bytes)

    def _write(self, name: str, body: bytes) -> None:
        write_whole(self._folder / name, body, mode=0o600, is_synced=False)

    def _erase(self, stem: str) -> None:
        for file in (*self._hits[stem].files, f"{stem}.json"):
            (self._folder / file).unlink(missing_ok=True)
        del self._hits[stem]  # not before: what a disk would not let go of is tried again

    def _stem(self, number: int) -> str:
        return f"hit-{self._start:010d}-{number:06d}"

    def _crop_name(self, record: HitRecord, jpeg: bytes) -> str:
        return f"{self._stem(record.number)}-{hashlib.sha256(jpeg).hexdigest()[:12]}.jpg"

    @contextmanager
    def _warned(self) -> Iterator[None]:
        """Say once that the disk fails, until a hit could be kept again."""
        try:
            yield
        except OSError as error:
            if not self._has_warned:
                _log.warning("hits in %s are not kept, or not deleted: %s", self._folder, error)
            self._has_warned = True


def forget_kept(folder: Path) -> None:
    """Delete all hits and crops of a folder: nobody wants them to be kept, or not any more."""
    try:
        for path in _files(folder):
            path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("pictures of people are still in %s: %s; delete them", folder, error)


def _renamed_back(record: HitRecord, renamed: RenamedHits, before: HitNaming) -> HitRecord:
    return record.with_naming(renamed.restored(record.naming, before))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if _OURS.fullmatch(path.name)]


def _parsed(table: dict[str, Any]) -> tuple[float, HitRecord]:
    """When it was kept, and the hit, whose person has left by now; raises ValueError or LookupError
    where it is none.
    """
    record = _RECORD.validate_python(table["record"])
    files = [crop.file for crop in record.crops if crop.file]
    if not all(_OURS.fullmatch(file) for file in files):
        raise ValueError("a crop is not in this folder")
    return float(table["kept_utc_s"]), record


def _all_in(names: frozenset[str], index: Container[str]) -> bool:
    return all(name in index for name in names)
