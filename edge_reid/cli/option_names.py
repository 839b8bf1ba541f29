"""Mistakes of settings, told of the options that were typed and not of keys of a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from edge_reid.core.errors import ConfigError

_OF_OTHER_NAME = {"uri": "--source", "embedding": "--model", "url": "--broker", "listen": "--web"}
"""By the last part of a key: options that are not called like it."""
_KEY_IN_WORDS = re.compile(r"\b(?:[a-z]+\.)?[a-z]+_[a-z]+\b|\b[a-z]+\.[a-z]+\b")
"""What can be no other word: `mqtt.username`, `allow_plaintext`."""


@contextmanager
def options_named(typed: Collection[str], offered: Collection[str] = ()) -> Iterator[None]:
    """Have a ConfigError of the block name options in the place of keys.

    Args:
        typed: keys of what stands on the command line, such as `decide.target_fpir`; of a single
            section without its name.
        offered: keys of options that might be typed to mend it.

    Raises:
        ConfigError: that of the block.
    """
    try:
        yield
    except ConfigError as error:
        problems = [_renamed(problem, error.where, typed, offered) for problem in error.problems]
        if problems == [*error.problems]:
            raise
        is_all_typed = all(problem.startswith("--") for problem in problems)
        raise ConfigError("command line" if is_all_typed else error.where, problems) from error


def keys_of(values: Mapping[str, object], above: str = "") -> Iterator[str]:
    """Keys of values that are nested as in a file: `site`, `decide.target_fpir`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _renamed(problem: str, where: str, typed: Collection[str], offered: Collection[str]) -> str:
    """`target_fpir: expected …` → `--target-fpir: expected …`, if that was typed."""
    key, colon, what = problem.partition(": ")
    if key not in typed and f"{where}.{key}" not in typed:
        return problem
    what = _KEY_IN_WORDS.sub(lambda word: _meant(word[0], offered), what)
    return f"{_option_of(key)}{colon}{what}"


def _meant(word: str, offered: Collection[str]) -> str:
    """A word of a remedy; the option, if it is the key of one."""
    name = word.rpartition(".")[2]
    is_offered = any(name == key.rpartition(".")[2] for key in offered)
    return _option_of(word) if is_offered else word


def _option_of(key: str) -> str:
    name = key.rpartition(".")[2]
    return _OF_OTHER_NAME.get(name, f"--{name.replace('_', '-')}")
