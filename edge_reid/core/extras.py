"""How optional parts of edge-reid are installed.

edge-reid is in no package index. Somebody else could register the name there, so no message of ours
may make people install it by that name.
"""

from __future__ import annotations

import importlib.util

from edge_reid import __version__
from edge_reid.core.errors import EdgeReidError


def how_to_install(extra: str) -> str:
    """The command that installs an extra of pyproject.toml, from a checkout or from our wheel."""
    wheel = f"edge_reid-{__version__}-py3-none-any.whl"
    return (
        f"pip install '.[{extra}]' in a checkout of edge-reid, or pip install '{wheel}[{extra}]' "
        "beside its wheel"
    )


def require(extra: str, *modules: str) -> None:
    """Check that the modules of an extra are installed, for a verb that needs them.

    Raises:
        EdgeReidError: a module is missing.
    """
    if missing := [name for name in modules if not importlib.util.find_spec(name)]:
        raise EdgeReidError(
            f"this verb needs {missing[0]}, which is not installed here; on a workstation: "
            f"{how_to_install(extra)}"
        )
