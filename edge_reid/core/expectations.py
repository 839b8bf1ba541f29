"""What was expected of a value that pydantic refuses, and what to do, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from edge_reid.core.names import NAME_PATTERN

Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """`expected {what}, got …; {remedy}`."""

    what: str
    remedy: str
    """Of somebody who writes TOML."""


TABLE = "a table"
_WORDS = {
    "greater_than": ("a number greater than {gt}", "raise it"),
    "greater_than_equal": ("a number greater than or equal to {ge}", "raise it"),
    "less_than": ("a number less than {lt}", "lower it"),
    "less_than_equal": ("a number less than or equal to {le}", "lower it"),
    "multiple_of": ("a multiple of {multiple_of}", "round it"),
    "finite_number": ("a finite number", "write one"),
    "int_type": ("a whole number", "write one, without quotes"),
    "int_parsing": ("a whole number", "write one, without quotes"),
    "int_parsing_size": ("a smaller whole number", "lower it"),
    "int_from_float": ("a whole number", "round it"),
    "float_type": ("a number", "write one, without quotes"),
    "float_parsing": ("a number", "write one, without quotes"),
    "bool_type": ("true or false", "write one of them, without quotes"),
    "bool_parsing": ("true or false", "write one of them, without quotes"),
    "string_type": ("text", "write it in quotes"),
    "path_type": ("a path", "write it in quotes"),
    "string_too_short": ("{min_length} or more characters", "write them"),
    "string_too_long": ("at most {max_length} characters", "shorten it"),
    "string_pattern_mismatch": ("text of the form {pattern}", "write it so"),
    "list_type": ("a list", "write it in brackets"),
    "tuple_type": ("a list", "write it in brackets"),
    "too_short": ("{min_length} or more entries", "add some"),
    "too_long": ("at most {max_length} entries", "take some out"),
    "dict_type": (TABLE, "write [{table}.NAME]"),
    "model_type": (TABLE, "write {header}"),
    "model_attributes_type": (TABLE, "write {header}"),
    "literal_error": ("{expected}", "write it so"),
}
"""What was expected and what to do, by pydantic's name of the mistake. In braces: what pydantic
says besides, the name of the table, and its line with brackets."""

_TIME = Expectation("a time such as 2026-05-01T08:00:00Z", "write it so, without quotes")
_NAME = Expectation("a name of a-z, 0-9, _ and -, at most 64", "write it so")


def expectation(
    kind: str, context: Mapping[str, Any], location: Location, value: object
) -> Expectation | None:
    """What a value should have been; None: there are no words for such a mistake.

    Args:
        kind: pydantic's name of the mistake, such as `greater_than`.
        context: what it says besides: `{"gt": 0}`.
        location: where its author wrote it.
        value: what came.
    """
    if kind.startswith("datetime_"):
        return _TIME
    if context.get("pattern") == NAME_PATTERN:
        return _NAME
    if kind not in _WORDS:
        return None
    table = ".".join(str(part) for part in location if isinstance(part, str))
    is_one_of_many = bool(location) and isinstance(location[-1], int)
    said = {
        name: f"{limit:.10g}" if isinstance(limit, float) else limit
        for name, limit in context.items()
    }
    said |= {"table": table, "header": f"[[{table}]]" if is_one_of_many else f"[{table}]"}
    what, remedy = (words.format_map(said) for words in _WORDS[kind])
    if kind == "literal_error":
        return _choice(what, value)
    if isinstance(value, Mapping) and kind in {"list_type", "tuple_type"}:
        remedy = f"{remedy}, tables as [[{table}]]"
    return Expectation(what, remedy)


def _choice(words: str, value: object) -> Expectation:
    """One of some words, perhaps one that is nearly what came."""
    meant = get_close_matches(str(value), words.split("'")[1::2])  # those in quotes
    remedy = f"did you mean '{meant[0]}'?" if meant else "choose one"
    if " or " not in words:
        return Expectation(words.replace("True", "true").replace("False", "false"), "write that")
    return Expectation(f"one of {words}", remedy)
