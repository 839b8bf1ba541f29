"""Validation errors of pydantic in our words: one short line a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from edge_reid.core.redact import may_hold_secret, redact

_LINES = "lines"
_KEY_ITSELF = "[key]"
"""Pydantic's last part of a location whose mistake is the name of a table."""

Location = tuple[int | str, ...]


def _as_it_is(location: Location) -> Location:
    return location


def as_lines(mistakes: Sequence[str]) -> PydanticCustomError:
    """The error for a validator to raise that finds several mistakes, `key: sentence` each."""
    return PydanticCustomError(_LINES, "{text}", {"text": "\n".join(mistakes)})


def describe_mistakes(
    error: ValidationError,
    where: Callable[[Location], Location] = _as_it_is,
    known: type[BaseModel] | None = None,
) -> tuple[str, ...]:
    """One line a mistake: the key, what was expected, what came.

    Args:
        error: the error of a table that was validated.
        where: maps a location in that table to the location that its author knows.
        known: the model of the table; with it an unknown key gets a proposal.
    """
    lines: list[str] = []
    for item in error.errors(include_url=False, include_context=False):
        if item["type"] == _LINES:
            keys = (line.split(": ", 1) for line in item["msg"].splitlines())
            lines += [f"{_dotted(where(tuple(key.split('.'))))}: {rest}" for key, rest in keys]
        elif item["type"] != "default_factory_not_called":  # follows from a mistake that is listed
            location = tuple(part for part in item["loc"] if part != _KEY_ITSELF)
            line = _line(where(location), item["type"], item["msg"], item.get("input"))
            is_unknown = known is not None and item["type"] == "extra_forbidden"
            lines.append(line + (_meant(location, known) if known and is_unknown else ""))
    return tuple(lines)


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "the whole file"


def _line(location: Location, kind: str, message: str, value: object) -> str:
    where = _dotted(location)
    if kind == "extra_forbidden":
        return f"{where}: unknown key"
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "value_error":  # our own sentence; the value may hold a secret
        return f"{where}: {message.removeprefix('Value error, ')}"
    expected = message[0].lower() + message[1:]
    if may_hold_secret(where):
        return f"{where}: {expected}"
    return f"{where}: {expected}, got {_short(value)}"


def _short(value: object, limit: int = 40) -> str:
    text = repr(redact(value) if isinstance(value, str) else value)
    if not isinstance(value, (str, int, float)):  # a value that holds others
        text = redact(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _meant(location: Sequence[int | str], known: type[BaseModel]) -> str:
    """`; did you mean source.uri?`, or an empty string."""
    paths = list(_paths(known, location))
    wrong = ".".join(map(str, location))
    near = get_close_matches(wrong, paths, n=1, cutoff=0.75)
    section, _, key = wrong.rpartition(".")
    if not near:  # the right key in the wrong section
        near = [path for path in paths if path.rpartition(".")[2] == key != ""][:1]
    if not near:
        beside = [path for path in paths if path.rpartition(".")[0] == section]
        near = get_close_matches(wrong, beside, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _paths(model: type[BaseModel], toward: Sequence[int | str], at: str = "") -> Iterator[str]:
    """Dotted paths of all keys of a table and of the tables in it.

    Args:
        model: of the table.
        toward: location below the table; of several tables of a kind only the one that it is in.
        at: where the table stands, with its last dot.
    """
    for name, field in model.model_fields.items():
        yield f"{at}{name}"
        is_toward = bool(toward) and toward[0] == name
        for kind in (field.annotation, *get_args(field.annotation)):
            if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
                continue
            if get_origin(field.annotation) is not dict:
                yield from _paths(kind, toward[1:] if is_toward else (), f"{at}{name}.")
            elif is_toward and len(toward) > 1:
                yield from _paths(kind, toward[2:], f"{at}{name}.{toward[1]}.")
