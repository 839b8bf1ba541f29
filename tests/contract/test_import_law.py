"""What runs on the device never needs the workstation's packages."""

import subprocess
import sys
from pathlib import Path

import edge_reid

PACKAGE = Path(edge_reid.__file__).parent
WORKSTATION_ONLY = ("tensorflow", "keras", "torch", "trainer", "deploy", "packaging", "tomli_w")

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
    program = IMPORT_ALL.format(modules=modules())
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & set(WORKSTATION_ONLY)


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from edge_reid.cli.main import command_line; command_line(); "
        "print(*{'numpy', 'cv2', 'pydantic', 'paho', 'rich', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
