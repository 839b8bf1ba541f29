"""One meaning a word, one word a meaning: names occur once, and names that went stay away."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import typer

from edge_reid.cli.main import app

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
"""Stems of files that say now what is in them."""

GONE_CLASSES = words("""
    Album Arrived AwayError BoxUpdate Cargo Case Casebook Changeover Clash Closing CommandDesk
    Courier Depot Doorman Due Evidence Figures FolderDepot Heartbeat Held Herald Interrupts Kept
    Leftovers Login Lookout Order Pacer Parcel Pinned Place ReleaseLine Said SealError Standard
    Steward Stock Studio Tally UnfitError WebDepot
""")

GONE_WORDS = words("""
    album cargo casebook changeover checkup clash courier crosscheck depot desk doorman errands
    greet hasten heartbeat herald interrupts leftovers ledger lookalikes lookout pacer parcel
    portable portray sealed settle sow steward studio tally told unseal workstation
""")
"""No part of an identifier. Words that mean something else as well (`line`, `order`, `seed`,
`pull`) went as files and classes only.
"""

ALLOWED = {
    ("Evidence", "edge_reid/gallery/evidence.py"): "what speaks for a finding, not for a track",
    ("Login", "deploy/flash/first_boot.py"): "who may log in to a device, not to a broker",
}
"""(name, file) that stays, and why."""


def files() -> list[Path]:
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path for path in found if path.name != "__init__.py")


def is_verb(path: Path) -> bool:
    """Whether a module is named after what is typed; three packages bring verbs."""
    return path.parent.name == "verbs"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def classes() -> Iterator[tuple[str, Path]]:
    for path in files():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                yield node.name, path


def identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def twice(names: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    where = defaultdict(list)
    for name, path in names:
        where[name].append(name_of(path))
    return {name: paths for name, paths in where.items() if len(paths) > 1}


def test_a_file_stem_occurs_once():
    assert not twice((path.stem, path) for path in files() if not is_verb(path))


def test_a_public_class_name_occurs_once():
    assert not twice((name, path) for name, path in classes() if not name.startswith("_"))


def test_a_box_is_a_rectangle():
    boxes = {name_of(path): name for name, path in classes() if name in {"Box", "Boxes"}}
    assert boxes == {"edge_reid/core/geometry.py": "Box"}


def test_only_photos_have_an_option_box():
    group = typer.main.get_command(app)
    shown = {
        name
        for name, verb in {**group.commands, **group.commands["gallery"].commands}.items()
        for option in verb.params
        if "--box" in option.opts and not option.hidden
    }
    assert shown == {"probe", "enroll"}


def test_names_that_went_do_not_come_back():
    back = [name_of(path) for path in files() if path.stem in GONE_FILES and not is_verb(path)]
    back += [
        f"{name_of(path)}: class {name}"
        for name, path in classes()
        if name.lstrip("_") in GONE_CLASSES and (name, name_of(path)) not in ALLOWED
    ]
    for path in files():
        words = {word for name in identifiers(path) for word in name.lower().split("_")}
        back += [
            f"{name_of(path)}: {word}"
            for word in sorted(words & GONE_WORDS)
            if (word, name_of(path)) not in ALLOWED
        ]
    assert not back


def test_every_exception_is_one():
    stems = {(path.stem, name_of(path)) for path in files()}
    names = {(name, name_of(path)) for name, path in classes()}
    words = {
        (word, name_of(path))
        for path in files()
        for name in identifiers(path)
        for word in name.lower().split("_")
    }
    assert not set(ALLOWED) - stems - names - words
