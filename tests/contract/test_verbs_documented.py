"""Every verb and every option stands in a table of a README, and the tables name no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_reid.cli.main import command_line

ROOT = Path(__file__).parents[2]
READMES = {"edge_reid": "README.md", "trainer": "trainer/README.md", "deploy": "deploy/README.md"}
VERBS = "| verb |"
SHARED = "| option of several verbs |"


@dataclass(frozen=True)
class Verb:
    """What is typed after `edge-reid`, its options without the hidden ones, and whose it is."""

    name: str
    package: str
    options: frozenset[str]


def verbs(command: Any = None, path: str = "") -> Iterator[Verb]:
    command = command or typer.main.get_command(command_line())
    if command.hidden:
        return
    inner = getattr(command, "commands", {})
    if path and (not inner or command.invoke_without_command):
        assert command.callback is not None
        package = command.callback.__module__.split(".")[0]
        yield Verb(path, package, frozenset(_options(command)))
    for name, below in inner.items():
        yield from verbs(below, f"{path} {name}".lstrip())


def _options(command: Any) -> Iterator[str]:
    for option in command.params:
        if option.param_type_name == "option" and not option.hidden:
            yield max(option.opts, key=len)


def rows(readme: str, header: str) -> Iterator[list[str]]:
    """The cells of each row of the tables with this header."""
    is_inside = False
    for line in (ROOT / readme).read_text(encoding="utf-8").splitlines():
        is_inside = line.startswith("|") and (is_inside or line.startswith(header))
        if is_inside and not line.startswith((header, "|---")):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def options_in(text: str) -> set[str]:
    return {span.split()[0] for span in spans(text) if span.startswith("--")}


def documented(readme: str) -> dict[str, set[str]]:
    """Options that the row of each verb names."""
    return {
        name: options_in(" ".join(cells))
        for cells in rows(readme, VERBS)
        for name in spans(cells[0])
    }


@pytest.fixture(scope="module")
def shared() -> set[str]:
    """Options that mean the same for every verb: a table of their own."""
    return {option for cells in rows("README.md", SHARED) for option in options_in(cells[0])}


def test_there_are_verbs_of_all_three_packages():
    assert {verb.package for verb in verbs()} == set(READMES)


@pytest.mark.parametrize("verb", list(verbs()), ids=lambda verb: verb.name)
def test_a_verb_and_its_options_are_documented(verb: Verb, shared: set[str]):
    readme = READMES[verb.package]
    table = documented(readme)
    assert verb.name in table, f"add a row to the table of verbs in {readme}"
    missing = sorted(verb.options - table[verb.name] - shared)
    assert not missing, f"add {', '.join(missing)} to the row of {verb.name} in {readme}"


@pytest.mark.parametrize("package", READMES)
def test_a_table_names_no_verb_that_is_gone(package: str):
    assert set(documented(READMES[package])) == {v.name for v in verbs() if v.package == package}


def test_a_row_names_no_option_that_is_gone():
    known = {verb.name: verb.options for verb in verbs()}
    for readme in READMES.values():
        for name, options in documented(readme).items():
            assert not options - known[name], (readme, name)


def test_a_shared_option_is_one_of_at_least_two_verbs(shared: set[str]):
    for option in shared - {"--version", "--debug", "--help"}:
        assert sum(option in verb.options for verb in verbs()) > 1, option


def test_the_list_of_verbs_cuts_no_sentence_off():
    for verb, command in commands():
        assert not command.get_short_help_str(60).endswith("..."), verb


def test_what_stands_for_an_argument_is_one_word_in_capitals():
    """Typer itself says which may be left out, and which come several times."""
    for verb, command in commands():
        for argument in command.params:
            if argument.param_type_name == "argument":
                assert re.fullmatch("[A-Z]+", argument.metavar or ""), (verb, argument.name)


def commands(command: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(command_line())
    for name, below in getattr(command, "commands", {}).items():
        yield f"{path} {name}", below
        yield from commands(below, f"{path} {name}")
