"""How optional parts of edge-reid are installed.

No package index has edge-reid. Who registered the name there would get what any message, file or
person makes others install by it, so ours never do.
"""

from __future__ import annotations

import importlib.util

from edge_reid import __version__
from edge_reid.core.errors import EdgeReidError


def how_to_install(extra: str) -> str:
    """For a message: what to type to get an extra of pyproject.toml, from a checkout or a wheel."""
    wheel = f"edge_reid-{__version__}-py3-none-any.whl"
    return (
        f"pip install '.[{extra}]' in a checkout of edge-reid, or pip install '{wheel}[{extra}]' "
        "beside its wheel"
    )


def require(extra: str, *modules: str) -> None:
    """Check that what a verb of the workstation needs is installed here: `modules` of `extra`.

    Raises:
        EdgeReidError: a module is missing.
    """
    if missing := [name for name in modules if not importlib.util.find_spec(name)]:
        raise EdgeReidError(
            f"this verb needs {missing[0]}, which is not installed here; on a workstation: "
            f"{how_to_install(extra)}"
        )
