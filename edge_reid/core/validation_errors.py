"""Validation errors of pydantic in our words: one short line a mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from pathlib import PurePath
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from edge_reid.core.expectations import TABLE, Location, expectation
from edge_reid.core.redact import may_hold_secret, redact

_LINES = "lines"
_SENTENCES = "sentences"
_KEY_ITSELF = "[key]"
"""Pydantic's last part of a location whose mistake is the name of a table."""

_KEYS = re.compile(r"([a-z_.]+(?:(?:, | and )[a-z_.]+)*): ")
"""What the sentence of a table's own validator begins with."""

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    ((str, PurePath), "text"),
    ((list, tuple), "a list"),
    ((date, time), "a time"),
)
"""What TOML has beside tables. A `bool` is an `int` too, and a `datetime` a `date`."""


def _as_it_is(location: Location) -> Location:
    return location


def as_lines(mistakes: Sequence[str]) -> PydanticCustomError:
    """The error for a validator to raise that finds several mistakes, `key: sentence` each."""
    return PydanticCustomError(_LINES, "{text}", {"text": "\n".join(mistakes)})


def as_sentences(mistakes: Sequence[str]) -> PydanticCustomError:
    """The error for the validator of a table that finds several mistakes; each begins with its
    keys, as they are in that table.
    """
    return PydanticCustomError(_SENTENCES, "{text}", {"text": "\n".join(mistakes)})


def describe_mistakes(
    error: ValidationError,
    where: Callable[[Location], Location] = _as_it_is,
    known: type[BaseModel] | None = None,
    *,
    of_toml: bool = False,
) -> tuple[str, ...]:
    """One line a mistake: the key, what was expected, what came.

    Args:
        error: the error of a table that was validated.
        where: maps a location in that table to the location that its author knows.
        known: the model of the table; with it an unknown key gets a proposal.
        of_toml: whether somebody has written it as TOML: each line then says what to do there.
    """
    lines: list[str] = []
    where = _without_logins(where)
    for item in error.errors(include_url=False):
        location = tuple(part for part in item["loc"] if part != _KEY_ITSELF)
        kind, message, value = item["type"], item["msg"], item.get("input")
        if kind == _LINES:
            keys = (line.split(": ", 1) for line in message.splitlines())
            lines += [f"{_dotted(where(tuple(key.split('.'))))}: {rest}" for key, rest in keys]
        elif kind in {"value_error", _SENTENCES}:
            sentences = message.removeprefix("Value error, ").splitlines()
            lines += [_own_sentence(location, each, value, where) for each in sentences]
        elif kind == "extra_forbidden":
            remedy = _meant(location, known, where) if known else ""
            remedy = remedy or ("leave it out" if of_toml else "")
            lines.append(_sentence(_dotted(where(location)), "unknown key", remedy))
        elif kind == "missing":
            lines.append(
                _sentence(_dotted(where(location)), "is missing", "add it" if of_toml else "")
            )
        elif not _follows(item):
            lines.append(_refused(where(location), item, of_toml=of_toml))
    return tuple(lines)


def _without_logins(where: Callable[[Location], Location]) -> Callable[[Location], Location]:
    """The same, for people who write an address where the name of a table or a key belongs."""
    return lambda location: tuple(
        redact(part) if isinstance(part, str) else part for part in where(location)
    )


def _follows(item: ErrorDetails) -> bool:
    """Whether it follows from a mistake that is listed."""
    value, least = item.get("input"), item.get("ctx", {}).get("min_length")
    is_long_enough = isinstance(value, (list, tuple)) and least is not None and len(value) >= least
    return item["type"] == "default_factory_not_called" or is_long_enough


def _sentence(key: str, what: str, remedy: str) -> str:
    return f"{key}: {what}; {remedy}" if remedy else f"{key}: {what}"


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "the whole file"


def _own_sentence(
    location: Location, sentence: str, value: object, where: Callable[[Location], Location]
) -> str:
    """A sentence of a validator of ours. That of a whole table begins with its keys."""
    if keys := _KEYS.match(sentence):
        inner = [tuple(key.split(".")) for key in re.split(", | and ", keys[1])]
        named = " and ".join(_dotted(where((*location, *key))) for key in inner)
        return f"{named}: {sentence[keys.end() :]}"
    key = _dotted(where(location))
    if "got " in sentence or isinstance(value, Mapping) or may_hold_secret(key):
        return f"{key}: {sentence}"
    what, semicolon, remedy = sentence.partition("; ")
    return f"{key}: {what}, got {_short(value)}{semicolon}{remedy}"


def _refused(location: Location, item: ErrorDetails, *, of_toml: bool) -> str:
    """What pydantic refuses, in our words where we have them."""
    key, value, message = _dotted(location), item.get("input"), item["msg"]
    wanted = expectation(item["type"], item.get("ctx", {}), location, value)
    what = f"expected {wanted.what}" if wanted else message[0].lower() + message[1:]
    if wanted and wanted.what == TABLE:
        got = f", got {_kind(value)}"
    else:
        got = "" if may_hold_secret(key) else f", got {_short(value)}"
    return _sentence(key, what + got, wanted.remedy if wanted and of_toml else "")


def _short(value: object, limit: int = 40) -> str:
    """A value nearly as it is written, less what may be a login."""
    text = "a table" if isinstance(value, Mapping) else _written(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _kind(value: object) -> str:
    """In place of a whole table may stand anything, also a password without its key."""
    for kinds, word in _KINDS:
        if isinstance(value, kinds):
            return word
    return "something else"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, PurePath)):
        return repr(redact(str(value)))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    return "{…}" if isinstance(value, Mapping) else redact(str(value))


def _meant(
    location: Location, known: type[BaseModel], where: Callable[[Location], Location]
) -> str:
    """`did you mean source.uri?`, or an empty string."""
    paths = list(_paths(known, location))
    wrong = ".".join(map(str, location))
    near = get_close_matches(wrong, paths, n=1, cutoff=0.75)
    section, _, key = wrong.rpartition(".")
    if not near:  # the right key in the wrong section, or in none
        near = [path for path in paths if path.rpartition(".")[2] == key != ""][:1]
    if not near:
        near = [path for path in _named_paths(known) if f".{path}".endswith(f".NAME.{wrong}")][:1]
    if not near:
        beside = [path for path in paths if path.rpartition(".")[0] == section]
        near = get_close_matches(wrong, beside, n=1, cutoff=0.6)
    if not near:
        return ""
    there, _, meant = near[0].rpartition(".")
    beside_it = _dotted((*where(location)[:-1], meant))
    return f"did you mean {beside_it if there == section else redact(near[0])}?"


def _named_paths(model: type[BaseModel], at: str = "") -> Iterator[str]:
    """Dotted paths of all keys of tables that have a name, with NAME in its place."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        for kind in (one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)):
            if get_origin(field.annotation) is dict:
                yield from _paths(kind, (), f"{at}{name}.NAME.")
            elif kind is field.annotation:
                yield from _named_paths(kind, f"{at}{name}.")


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
            if get_origin(field.annotation) not in {dict, tuple}:
                yield from _paths(kind, toward[1:] if is_toward else (), f"{at}{name}.")
            elif is_toward and len(toward) > 1:
                yield from _paths(kind, toward[2:], f"{at}{name}.{toward[1]}.")
