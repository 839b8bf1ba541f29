"""Mistakes of settings, told of the options that were typed and not of keys of a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edge_reid.core.errors import ConfigError

if TYPE_CHECKING:  # kept from `--help`, which answers at once
    from edge_reid.core.config.section import Section

S = TypeVar("S", bound="Section")

_OF_OTHER_NAME = {"uri": "--source", "embedding": "--model", "url": "--broker", "listen": "--web"}
"""By the last part of a key: options that are not called like it."""
_KEY_IN_WORDS = re.compile(r"\b(?:[a-z]+\.)?[a-z]+_[a-z]+\b|\b[a-z]+\.[a-z]+\b")
"""What can be no other word: `mqtt.username`, `allow_plaintext`."""
_COMMAND_LINE = "command line"
"""Where a ConfigError without a file is."""


def parse_options(
    section: type[S],
    typed: Mapping[str, object],
    usual: Mapping[str, object] | None = None,
    called: Mapping[str, str] | None = None,
) -> S:
    """Settings from what was typed; None: it was not.

    Args:
        section: the settings.
        typed: values of options, by their keys.
        usual: what this verb has in the place of defaults, by key.
        called: as of `options_named`.

    Raises:
        ConfigError: there are mistakes; it lists all of them, by option.
    """
    from edge_reid.core.config.settings_file import parse_section

    given = {key: value for key, value in typed.items() if value is not None}
    with options_named(given, called=called):
        return parse_section(section, {**(usual or {}), **given})


@contextmanager
def options_named(
    typed: Collection[str],
    offered: Collection[str] = (),
    called: Mapping[str, str] | None = None,
    elsewhere: str = "",
) -> Iterator[None]:
    """Have a ConfigError of the block name options in the place of keys.

    Args:
        typed: keys of what stands on the command line, such as `decide.target_fpir`; of a single
            section without its name.
        offered: keys of options that might be typed to mend it.
        called: options of this verb alone that are not called like their keys, by key.
        elsewhere: what has the keys that no option stands for; empty: they are named alone.

    Raises:
        ConfigError: that of the block.
    """
    try:
        yield
    except ConfigError as error:
        names = _Names(typed, offered, {**_OF_OTHER_NAME, **(called or {})}, elsewhere)
        problems = [names.renamed(problem, error.where) for problem in error.problems]
        if problems == [*error.problems]:
            raise
        is_all_typed = all(problem.startswith("--") for problem in problems)
        raise ConfigError(_COMMAND_LINE if is_all_typed else error.where, problems) from error


def keys_of(values: Mapping[str, object], above: str = "") -> Iterator[str]:
    """Keys of values that are nested as in a file: `site`, `decide.target_fpir`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from keys_of(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


@dataclass(frozen=True, slots=True)
class _Names:
    """What keys are called where somebody types options; attributes as of `options_named`."""

    typed: Collection[str]
    offered: Collection[str]
    called: Mapping[str, str]
    elsewhere: str

    def renamed(self, problem: str, where: str) -> str:
        """`target_fpir: expected …` → `--target-fpir: expected …`, if that was typed."""
        key, colon, what = problem.partition(": ")
        if key in self.typed or f"{where}.{key}" in self.typed:
            what = _KEY_IN_WORDS.sub(lambda word: self._meant(word[0]), what)
            return f"{self._option_of(key)}{colon}{what}"
        if self.elsewhere and where == _COMMAND_LINE:
            return f"{key} of {self.elsewhere}{colon}{what}"
        return problem

    def _meant(self, word: str) -> str:
        """A word of a remedy; the option, if it is the key of one."""
        name = word.rpartition(".")[2]
        is_offered = any(name == key.rpartition(".")[2] for key in self.offered)
        return self._option_of(word) if is_offered else word

    def _option_of(self, key: str) -> str:
        name = key.rpartition(".")[2]
        return self.called.get(name, f"--{name.replace('_', '-')}")
