"""What the parser of the command line complains of, in the words of our own errors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown
from edge_reid.core.redact import redact, redact_within

Misuse: type[Any] = typer.BadParameter.__mro__[1]
"""click's UsageError, from whichever click this typer has."""

_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"(?:Value error, )?.* is not one of (?P<wanted>.+?)\.?", "one of {wanted}"),
    (r".* is not a valid (?P<wanted>\w+)\.?.*", "a valid {wanted}"),
    (r".* is not in the range (?P<wanted>.+?)\.?", "a number {wanted}"),
    (r"Input should be (?P<wanted>(?:greater|less) .*)", "a number {wanted}"),
    (r"Input should be (?P<wanted>.*?)(?:, unable .*)?", "{wanted}"),
    (
        r"Unable to parse .* as an (?P<wanted>integer), .* maximum size",
        "an {wanted} of fewer digits",
    ),
)
"""How wrong values are told, and what was expected then: by click, and by pydantic, which newer
releases of typer ask.
"""


def in_our_words(error: Any, words: Sequence[str]) -> UsageError:
    """Expected …, got …; what to do.

    Args:
        error: a `Misuse`.
        words: of the command line.
    """
    verb = [word for word in words[:1] if not word.startswith("-")]
    path = error.ctx.command_path if error.ctx else " ".join(("edge-reid", *verb))
    tell = _TELLERS.get(type(error).__name__, _other)
    return UsageError(f"{tell(error, words)}; {path} --help shows what there is")


def _unknown_option(error: Any, words: Sequence[str]) -> str:
    expected = f"{error.ctx.command_path}: expected one of its options"
    if file := next((word for word in words if _may_be_file(word, error.option_name)), None):
        name = shown(redact(file), TYPED_MAX)
        return f"{expected}, got {name}, which begins with a dash; if it is a file, write ./{name}"
    meant = f", perhaps {' or '.join(sorted(error.possibilities))}" if error.possibilities else ""
    return f"{expected}{meant}, got {error.option_name}"


def _may_be_file(word: str, option: str) -> bool:
    """Whether a word that was taken for this option is or looks like a file of such a name."""
    looks_so = Path(word).suffix[1:2].isalpha() and "=" not in word
    return word.startswith(option) and (looks_so or os.path.lexists(word))


def _missing(error: Any, _: Sequence[str]) -> str:
    return f"{error.ctx.command_path}: expected {_name(error)}, got none"


def _option(error: Any, _: Sequence[str]) -> str:
    if "not take" in error.message:
        return f"{error.option_name}: expected no value, got one"
    return f"{error.option_name}: expected a value after it, got none"


def _value(error: Any, words: Sequence[str]) -> str:
    got = _typed(error.param.opts, words) if error.param else "another"
    for pattern, expected in _PATTERNS:
        if found := re.fullmatch(pattern, error.message):
            wanted = expected.format(wanted=found["wanted"].replace("'", ""))
            return f"{_name(error)}: expected {wanted}, got {got}"
    return f"{_name(error)}: expected another value, got {got} ({error.message.rstrip('.')})"


def _other(error: Any, _: Sequence[str]) -> str:
    path = error.ctx.command_path if error.ctx else "edge-reid"
    if found := re.match(r"No such command '?(.*?)'?\.", error.message):
        meant = get_close_matches(found[1], error.ctx.command.list_commands(error.ctx))
        perhaps = f", perhaps {' or '.join(meant)}" if meant else ""
        return f"{path}: expected one of its verbs{perhaps}, got {redact(found[1])}"
    if found := re.match(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", error.message):
        return f"{path}: expected no more words, got {redact_within(found[1])}"
    return f"{path}: expected other words, got: {error.message.rstrip('.')}"


_TELLERS: dict[str, Callable[[Any, Sequence[str]], str]] = {
    "NoSuchOption": _unknown_option,
    "MissingParameter": _missing,
    "BadOptionUsage": _option,
    "BadParameter": _value,
}


def _name(error: Any) -> str:
    """`--from`, or the word that stands for an argument."""
    if error.param is None:
        return str(error.param_hint or "a value").replace("'", "")
    if error.param.param_type_name == "option":
        return str(max(error.param.opts, key=len))
    return str(error.param.metavar or error.param.name.upper())


def _typed(names: Sequence[str], words: Sequence[str]) -> str:
    """What was typed after an option."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, is_joined, value = word.partition("=")
        if name in names:
            return shown(redact(value if is_joined else following), TYPED_MAX)
    return "another"
