"""What `edge-reid doctor --camera` shows: who is seen at which height, and what would help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_reid.cli.output import print_indented
from edge_reid.diagnostics.camera_heights import (
    CameraLook,
    HeightBand,
    TriedDetector,
    advice,
    bands,
    trusted_heights,
)


def print_heights(
    console: Console, look: CameraLook, detectors: Sequence[TriedDetector], min_height_px: int
) -> None:
    """Print the table and the advice; the first tried is the detector in use."""
    width, height = look.size_px
    table = Table(
        "height",
        "seen",
        *(_title(tried, in_use=tried is detectors[0]) for tried in detectors),
        title=f"{look.pictures} pictures of {width}×{height}; heights in pixels of a frame "
        "scaled into 1920×1080",
    )
    for band in bands(look):
        table.add_row(*_row(band, detectors))
    table.add_section()
    table.add_row("ms a look", "", *(f"{look.took_ms[c.name]:.0f}" for c in detectors))
    table.add_row("trusted", "", *map(_trusted, detectors))
    if look.sightings:
        console.print(table)
    for line in advice(look, detectors, min_height_px):
        print_indented(console, Text("     → "), line)


def _title(tried: TriedDetector, *, in_use: bool) -> str:
    """The name under which it is shipped, broken at underscores: four fit a terminal of 80."""
    name = "\n".join(re.findall(r".{1,9}_|.+", tried.name))
    return name + ("\nin use" if in_use else "")


def _row(band: HeightBand, detectors: Sequence[TriedDetector]) -> Iterator[str]:
    yield f"{band.low_px}–{band.below_px}"
    yield str(band.sightings)
    yield from (f"{100 * band.found[tried.name]:.0f} %" for tried in detectors)


def _trusted(tried: TriedDetector) -> str:
    heights = trusted_heights(tried.manifest)
    return f"{heights[0]}–{heights[1]}" if heights else "not measured"
