"""Settings files that are wrong in one place: every key, with values of every kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import tomli_w
from pydantic import BaseModel

from edge_reid.core.errors import ConfigError

Place = tuple[str | int, ...]
Table = dict[str, Any]

WRONG_VALUES: tuple[Any, ...] = (
    "",
    "no such word",
    "12",
    "true",
    -1e12,
    1e12,
    7,
    0.5,
    float("nan"),
    True,
    [],
    ["no such word"],
    [[2, 0.5], ["x", 0.5]],
    [1, 2, 3],
    {"no_such_key": 1},
    [{"no_such_key": 1}],
    datetime(2026, 5, 1, 8, tzinfo=timezone.utc),
)
"""Of each kind that TOML has; for most keys most of them are wrong."""

_FORM = re.compile(
    r"(?P<key>[\w.-]+( and [\w.-]+)*): "
    r"(expected .+|should .+|lies in .+|set .+|is of all cameras; .+|has .+"
    r"|is missing[;,] .+|unknown key; .+|is there .+|is called .+)"
)
_FOREIGN = re.compile(
    r"input should|value error|field required|valid (dictionary|number|string|integer|boolean|"
    r"tuple|list|datetime)|instance of|unable to|should match|should have at (least|most)|"
    r"PosixPath|datetime\.|\{'|None",
    re.IGNORECASE,
)
"""Words of pydantic and of Python, which mean nothing to who writes a settings file."""

_SHOWN = re.compile(r"expected a table, got (?!text|a |true or false)")
"""A value where a section belongs may be anything, also a password without its key."""


def places(model: type[BaseModel], at: Place = ()) -> Iterator[Place]:
    """Where the keys of a table stand, and those of the tables in it.

    A table of which there are many is called `gate`.
    """
    for name, field in model.model_fields.items():
        yield (*at, name)
        annotation = field.annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                inner: Place = {dict: ("gate",), tuple: (0,)}.get(get_origin(annotation), ())
                if inner:
                    yield (*at, name, *inner)
                yield from places(kind, (*at, name, *inner))


def with_value(table: Mapping[str, Any], place: Place, value: Any) -> Table:
    """The table with another value at a place; tables on the way are made."""
    changed: Any = deepcopy(dict(table))
    at = changed
    for key, following in pairwise(place):
        is_table = isinstance(at, dict)
        at = at.setdefault(key, [{}] if following == 0 else {}) if is_table else at[key]
    if isinstance(place[-1], int):
        at[:] = [value]
    else:
        at[place[-1]] = value
    return changed  # type: ignore[no-any-return]


def mistakes_in(path: Path, table: Table, load: Callable[[Path], object]) -> tuple[str, ...]:
    """What is said of a table once it is written to a file and loaded; empty: it is sound."""
    path.write_bytes(tomli_w.dumps(table).encode())
    try:
        load(path)
    except ConfigError as error:
        return error.problems
    return ()


def assert_in_our_words(
    say: Callable[[Table], tuple[str, ...]], sound: Table, place: Place
) -> None:
    """Of a key that has values of every kind: `key: expected …, got …; what to do`."""
    found = [say(with_value(sound, place, value)) for value in WRONG_VALUES]
    assert any(found), "some of these values are wrong for any key"
    assert [line for lines in found for line in lines if _is_bad(line)] == []


def _is_bad(line: str) -> bool:
    is_ours = "\n" not in line and _FORM.fullmatch(line)
    return not is_ours or bool(_FOREIGN.search(line) or _SHOWN.search(line))
