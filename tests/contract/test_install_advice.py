"""No package index has edge-reid: who registers the name there must get nobody's `pip install`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import edge_reid
from deploy.bundle.own_wheel import own_wheel
from edge_reid.core.extras import how_to_install

ROOT = Path(edge_reid.__file__).parents[1]
TEXTS = {".md", ".py", ".toml", ".sh", ".html", ".service", ""}
FOLDERS = ("edge_reid", "trainer", "deploy", "models", "tests")
BY_NAME = re.compile(r"pip3? install\s+(-\S+\s+)*['\"]?edge[-_]reid(?![-_./\w])|\bedge-reid\[")


def texts() -> list[Path]:
    """What a person may read or copy from, and what may be printed."""
    below = (it for folder in FOLDERS for it in (ROOT / folder).rglob("*"))
    files = [ROOT / "README.md", ROOT / "Makefile", *below]
    return [it for it in files if it.is_file() and it.suffix in TEXTS and it != Path(__file__)]


def test_nothing_says_to_install_edge_reid_by_its_name():
    assert len(texts()) > 300
    found = {
        str(path.relative_to(ROOT)): line
        for path in texts()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if BY_NAME.search(line) and "do not install it by that name" not in line
    }
    assert found == {}


def test_what_is_said_instead_works():
    with own_wheel(None) as ours:
        for extra in ("deploy", "trainer", "postgres"):
            in_checkout, with_wheel = re.findall(r"pip install '([^']+)'", how_to_install(extra))
            assert in_checkout == f".[{extra}]"
            assert with_wheel == f"{ours.path.name}[{extra}]"
            done = tried(with_wheel, ours.path.parent)
            assert done.returncode == 0, done.stderr
            assert "Would install edge-reid" in done.stdout
            assert "does not provide the extra" not in done.stderr


def tried(what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What pip would do, of edge-reid alone."""
    options = ("--dry-run", "--no-deps", "--no-index", "--force-reinstall")
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, what],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
