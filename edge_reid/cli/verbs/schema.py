"""`edge-reid schema`: the JSON Schemas of everything that is published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write one file per payload into this folder."),
    ] = None,
) -> None:
    """Print the JSON Schemas of all payloads. With --out they are written, a file each."""
    import json

    from edge_reid.wire.schemas import json_schemas

    schemas = json_schemas()
    if out is None:
        typer.echo(json.dumps(schemas, indent=2, ensure_ascii=False))
        return
    _make_folder(out)
    for name, content in schemas.items():
        path = out / f"{name.replace('/', '-')}.json"
        _write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        typer.echo(path)


def _make_folder(folder: Path) -> None:
    from edge_reid.core.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {folder}: expected a folder, got: {error.strerror}; give another"
        ) from error


def _write(path: Path, text: str) -> None:
    from edge_reid.core.errors import UsageError
    from edge_reid.core.files import write_whole

    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise UsageError(
            f"--out {path.parent}: cannot be written: {error.strerror}; make room there, or give "
            "another folder"
        ) from error
