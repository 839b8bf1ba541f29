"""What runs on the device never needs the workstation's packages."""

import subprocess
import sys
from pathlib import Path

import edge_reid

PACKAGE = Path(edge_reid.__file__).parent
WORKSTATION_ONLY = ("tensorflow", "keras", "torch", "trainer", "deploy", "packaging", "tomli_w")

OF_EXTRAS = {
    f"edge_reid.archive.{name}" for name in ("ann_building", "ann_index", "cluster_indexing")
}
"""They need FAISS or Dask, which need `packaging` themselves."""

IMPORT_ALL = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""


def modules() -> list[str]:
    """Every module of edge_reid, dotted."""
    files = PACKAGE.rglob("*.py")
    return sorted(
        ".".join((edge_reid.__name__, *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in files
        if file.name not in ("__init__.py", "__main__.py")
    )


def test_no_module_of_the_device_imports_the_workstation():
    assert len(modules()) > 40
    assert not imported_by(set(modules()) - OF_EXTRAS) & set(WORKSTATION_ONLY)
    assert imported_by(OF_EXTRAS) & set(WORKSTATION_ONLY) <= {"packaging"}


def imported_by(names: set[str]) -> set[str]:
    """Packages that are there once these modules are."""
    program = IMPORT_ALL.format(modules=sorted(names))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_help_imports_nothing_heavy():
    start = "from edge_reid.cli.main import command_line; command_line()"
    assert imported_of({"numpy", "cv2", "pydantic", "paho", "rich", "sqlite3"}, start) == set()


def test_a_decoder_imports_only_what_its_camera_takes():
    """There is one for each camera: what all of them have in memory is there as many times."""
    start = "import edge_reid.capture.decoder, edge_reid.capture.av_reader"
    assert imported_of({"numpy", "cv2", "pydantic", "ssl", "hashlib", "tempfile"}, start) == set()


def imported_of(these: set[str], start: str) -> set[str]:
    """Which of these modules are there once a program has started."""
    program = f"import sys; {start}; print(*{these!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
