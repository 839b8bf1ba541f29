"""One meaning a word, one word a meaning: names occur once, and names that went stay away."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import typer

from edge_reid.cli.main import command_line

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_reid", "trainer", "deploy")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GONE_FILES = words("""
    admission agent_file ask bars calibration casebook catalogue changeover checkup clash
    command_desk courier crosscheck depot doorman draft finetune first_thresholds folding follow
    forecast heartbeat herald interrupts leftovers line login lookalikes lookout mistakes on_box
    order pace parcel photos places portable pull quiet rounding screen sealed seed shipped
    sources standard steps steward stock survey sync_due trouble workstation
""")
"""Stems of files. What they were called is now named by the field's term."""

GONE_CLASSES = words("""
    Album Arrived Aside AwayError BoxUpdate Cargo Case Casebook Changeover Clash Closing CommandDesk
    Courier Depot Doorman Due Evidence Figures FolderDepot Heartbeat Held Herald Interrupts Kept
    Leftovers Login Lookout Order Pacer Parcel Pinned Place ReleaseLine Said SealError Standard
    Steward Stock Studio Tally UnfitError WebDepot
""")

GONE_WORDS = words("""
    album cargo casebook changeover checkup clash courier crosscheck depot desk doorman errands
    greet hasten heartbeat herald interrupts leftovers ledger lookalikes lookout pacer parcel
    portable portray sealed sow steward studio tally told unseal workstation
""")
"""Parts of identifiers. A word that has an ordinary meaning as well (`line`, `order`, `seed`) went
as a file and as a class only."""

STILL_THERE = "went as a term, and is still a local name here"

ALLOWED = {
    ("Evidence", "edge_reid/gallery"): "what speaks for an owner of a template, not for a track",
    ("Login", "deploy/flash"): "who may log in to a device, not to a broker",
    ("sealed", "deploy/bundle"): STILL_THERE,
    ("sealed", "edge_reid/agent"): STILL_THERE,
    ("told", "edge_reid/agent"): STILL_THERE,
    ("portable", "edge_reid/cli"): STILL_THERE,
    ("ledger", "edge_reid/delivery"): STILL_THERE,
    ("sealed", "edge_reid/diagnostics"): STILL_THERE,
    ("ledger", "edge_reid/gallery"): STILL_THERE,
    ("portable", "edge_reid/gallery"): STILL_THERE,
    ("sealed", "edge_reid/gallery"): STILL_THERE,
    ("sealed", "edge_reid/strangers"): STILL_THERE,
    ("told", "edge_reid/strangers"): STILL_THERE,
    ("greet", "edge_reid/mqtt"): STILL_THERE,
    ("portable", "edge_reid/enrolment"): STILL_THERE,
    ("sealed", "edge_reid/storage"): STILL_THERE,
    ("Kept", "edge_reid/vision"): STILL_THERE,
    ("lookalikes", "trainer/thresholds"): STILL_THERE,
}
"""(name, room) that stays, and why. The list only gets shorter: what is not needed must go."""


@cache
def files() -> tuple[Path, ...]:
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(sorted(path for path in found if path.name != "__init__.py"))


def is_verb(path: Path) -> bool:
    """Whether a module is named after what is typed; three packages bring verbs."""
    return path.parent.name == "verbs"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    return "/".join(path.relative_to(ROOT).parts[:2])


def classes(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef):
            yield node.name


def identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def gone(path: Path) -> set[str]:
    """Names in a file, and its own, that went."""
    stem = {path.stem} - {path.stem if is_verb(path) else ""}
    parts = {part for name in identifiers(path) for part in name.lower().split("_")}
    public = {name.lstrip("_") for name in classes(path)}
    return stem & GONE_FILES | public & GONE_CLASSES | parts & GONE_WORDS


def twice(named: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    where = defaultdict(list)
    for name, path in named:
        where[name].append(name_of(path))
    return {name: paths for name, paths in where.items() if len(paths) > 1}


def test_a_file_stem_occurs_once():
    assert not twice((path.stem, path) for path in files() if not is_verb(path))


def test_a_public_class_name_occurs_once():
    named = ((name, path) for path in files() for name in classes(path))
    assert not twice((name, path) for name, path in named if not name.startswith("_"))


def test_a_box_is_a_rectangle():
    boxes = {name_of(path) for path in files() if {"Box", "Boxes"} & set(classes(path))}
    assert boxes == {"edge_reid/core/geometry.py"}


def test_only_photos_have_an_option_box():
    group = typer.main.get_command(command_line())
    verbs = group.commands | group.commands["gallery"].commands
    shown = {
        name
        for name, verb in verbs.items()
        for option in verb.params
        if "--box" in option.opts and not option.hidden
    }
    assert shown == {"probe", "enroll", "search"}


def test_names_that_went_do_not_come_back():
    back = [(name, name_of(path)) for path in files() for name in gone(path) - allowed(path)]
    assert not sorted(back)


def allowed(path: Path) -> set[str]:
    return {name for name, room in ALLOWED if room == room_of(path)}


def test_every_exception_is_needed():
    needed = {(name, room_of(path)) for path in files() for name in gone(path)}
    assert not sorted(ALLOWED.keys() - needed)
