"""The READMEs are maps: each names every file of its room, and no link leads nowhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = [
    *(
        f"edge_reid/{room}"
        for room in (
            "archive",
            "cli",
            "core",
            "diagnostics",
            "enrolment",
            "gallery",
            "matching",
            "release",
            "scoring",
            "signing",
        )
    ),
    *(f"edge_reid/{room}" for room in ("strangers", "transfer", "web")),
    *(f"deploy/{room}" for room in ("bundle", "flash", "install", "site")),
]


def pages() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in done.stdout.split() if name != "CHANGELOG.md"]


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            yield target


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {re.sub(r"\s", "-", heading.strip()) for heading in plain}


@pytest.mark.parametrize("room", ROOMS)
def test_a_readme_names_every_file_of_its_room(room: str):
    text = (ROOT / room / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"`(\w+\.py)`", text.split("\n## ")[0]))
    assert files == named


def test_every_link_leads_somewhere():
    broken = []
    for page in pages():
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert not broken
