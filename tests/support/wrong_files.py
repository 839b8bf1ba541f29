"""Settings files that are wrong in one place: every key, with values of every kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, get_args, get_origin

from pydantic import BaseModel

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


def bad_lines(problems: tuple[str, ...]) -> list[str]:
    """Those that are not in our words: `key: expected …, got …; what to do`."""
    return [
        line
        for line in problems
        if "\n" in line or not _FORM.fullmatch(line) or _FOREIGN.search(line)
    ]
