"""pydantic's findings in our words: one short line per mistake."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

Location = tuple[int | str, ...]


def _as_it_is(location: Location) -> Location:
    return location


def describe_mistakes(
    error: ValidationError, where: Callable[[Location], Location] = _as_it_is
) -> tuple[str, ...]:
    """One line per mistake: where, what was expected, what came.

    Args:
        error: of a table that was validated.
        where: from a place in that table to the place that its author knows.
    """
    return tuple(
        _line(where(tuple(item["loc"])), item["type"], item["msg"], item.get("input"))
        for item in error.errors(include_url=False, include_context=False)
        if item["type"] != "default_factory_not_called"  # a default that hangs on a named mistake
    )


def _line(location: Location, kind: str, message: str, value: object) -> str:
    where = ".".join(str(part) for part in location) or "the whole file"
    if kind == "extra_forbidden":
        return f"{where}: unknown key"
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "value_error":  # our own words; the value may hold a secret
        return f"{where}: {message.removeprefix('Value error, ')}"
    expected = message[0].lower() + message[1:]
    return f"{where}: {expected}, got {_short(value)}"


def _short(value: object, limit: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
