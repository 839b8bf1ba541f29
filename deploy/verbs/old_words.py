"""Options that are called otherwise now: whoever types the old one is told the new one."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_reid.core.errors import UsageError

OldBox = Annotated[str | None, typer.Option("--box", hidden=True)]


def refuse_old_box(verb: str, box: str | None) -> None:
    """Raise UsageError if a device was named by `--box`, as up to 0.4."""
    if box is not None:
        raise UsageError(f"{verb}: expected --device {box}, got --box {box}; a machine is a device")
