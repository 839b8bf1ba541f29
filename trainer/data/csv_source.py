"""A data set as a table: a CSV of `path,identity[,camera]`, paths relative to the CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from edge_reid.core.errors import ConfigError
from edge_reid.vision.photo import PHOTO_SUFFIXES
from trainer.data.listing import Listed, Listing

_NEEDED = ("path", "identity")
_COLUMNS = (*_NEEDED, "camera")
_MOST_LISTED = 100


def list_csv(file: Path) -> Listing:
    """The pictures of a CSV file, comma-separated UTF-8 with a header.

    An empty camera means that it is not known.

    Raises:
        ConfigError: the file cannot be read, its header or any of its rows is wrong; the first
            hundred mistakes are listed, the others counted.
    """
    rows = _rows(file)
    header = [name.strip() for name in rows[0][1]] if rows else []
    mistakes = list(_header_mistakes(header))
    pictures: list[Listed] = []
    whose: dict[Path, tuple[str, int]] = {}
    for line, fields in [] if mistakes else rows[1:]:
        row = dict(zip(header, (field.strip() for field in fields), strict=False))
        wrong = list(_row_mistakes(file, header, fields, row))
        mistakes += [f"line {line}: {mistake}" for mistake in wrong]
        if wrong:
            continue
        path = file.parent / row["path"]
        owner, before = whose.setdefault(path, (row["identity"], line))
        if owner != row["identity"]:
            mistakes.append(f"line {line}: {row['path']} is {owner}'s already, on line {before}")
        pictures.append(Listed(path, row["identity"], row.get("camera") or None))
    _refuse(file, mistakes)
    return Listing(tuple(pictures))


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of every line that is not empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            return [(reader.line_num, fields) for fields in reader if any(fields)]
    except OSError as error:
        raise ConfigError(f"data {file}", [f"cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        problem = f"expected UTF-8, got byte {error.object[error.start]:#x} at {error.start}"
        raise ConfigError(f"data {file}", [f"{problem}; save it as UTF-8"]) from error
    except csv.Error as error:
        raise ConfigError(f"data {file}", [f"expected comma-separated values: {error}"]) from error


def _header_mistakes(header: list[str]) -> Iterator[str]:
    found = ",".join(header)
    if missing := [name for name in _NEEDED if name not in header]:
        yield (
            f"line 1: expected the header path,identity or path,identity,camera, got {found!r}: "
            f"no {' and no '.join(missing)}"
        )
    elif unknown := [name for name in header if name not in _COLUMNS]:
        yield f"line 1: expected no columns but {', '.join(_COLUMNS)}, got {', '.join(unknown)}"
    elif len(set(header)) < len(header):
        yield f"line 1: expected each column once, got {found!r}"


def _row_mistakes(
    file: Path, header: list[str], fields: list[str], row: dict[str, str]
) -> Iterator[str]:
    if len(fields) != len(header):
        yield f"expected {len(header)} values, got {len(fields)}; quote a value with a comma"
        return
    if not row["identity"]:
        yield "expected an identity, got none"
    if not row["path"]:
        yield "expected a path, got none"
    elif not _is_file(file.parent / row["path"]):
        yield f"{row['path']}: no such file beside the CSV"
    elif Path(row["path"]).suffix.lower() not in PHOTO_SUFFIXES:
        yield f"{row['path']}: expected an image file ({' '.join(sorted(PHOTO_SUFFIXES))})"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long to be a path: a stray quotation mark has joined lines
        return False


def _refuse(file: Path, mistakes: list[str]) -> None:
    if len(mistakes) > _MOST_LISTED:
        more = f"and {len(mistakes) - _MOST_LISTED} mistakes more"
        mistakes = [*mistakes[:_MOST_LISTED], more]
    if mistakes:
        raise ConfigError(f"data {file}", mistakes)
