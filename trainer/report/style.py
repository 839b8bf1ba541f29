"""How figures look: one palette, on paper (PNG) and inside the page (SVG, light and dark)."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2733", "#5f6b77", "#dfe4e9"
GENUINE, IMPOSTOR = "#2a7d50", "#b8433f"
SERIES = ("#1f6f8b", "#c0652a", "#6a529c", "#8b7420", "#3d3f9e", "#a13d74")
DARK = {
    INK: "#e8ecf0",
    MUTED: "#9aa6b2",
    GRID: "#333d48",
    GENUINE: "#58b883",
    IMPOSTOR: "#e5756f",
    **dict(
        zip(SERIES, ("#5db3d0", "#eb9a63", "#a994da", "#cdb45a", "#8b8df0", "#dc80b3"), strict=True)
    ),
}
"""What each colour is where the page is dark."""

_PANEL_IN = 4.4, 3.5
_LETTERS = 42
"""In a line: as many as the width of a panel has room for, whichever font a browser takes."""
_LINE_IN = 0.17
_PNG_DPI = 160
_PX_PER_PT = 1.75
"""Of figures on the page, at most: two panels are as wide as the text."""
_RC: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names of data sets may hold a $
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-reid",
}


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A figure with what it shows, said in a sentence or two."""

    name: str
    """Of its PNG file and, inside the page, of its parts."""
    title: str
    caption: str
    svg: str


@contextmanager
def house_style() -> Iterator[None]:
    """Set Matplotlib's style for the figures made in the block."""
    with mpl.rc_context(_RC):
        yield


def wrapped(name: str) -> str:
    """A name in lines that a panel has room for, whole."""
    return "\n".join(textwrap.wrap(name, _LETTERS, break_on_hyphens=False)) or name


def panels(
    count: int,
    draw: Callable[[int, Axes], None],
    *,
    columns: int = 2,
    height_in: float = _PANEL_IN[1],
    key: bool = False,
) -> Figure:
    """A figure of `count` panels in rows of at most `columns`, each drawn by `draw(i, axis)`.

    With `key`, the labels of the first panel are explained once above all of them. The figure is
    as much higher as names of several lines need.
    """
    columns = min(count, columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(_PANEL_IN[0] * columns, height_in * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for index in range(count):
        draw(index, axes[index])
    for axis in axes[count:]:
        axis.set_axis_off()
    lines = rows * max(axis.get_title(loc="left").count("\n") for axis in axes)
    if key:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left")
        lines += sum(1 + label.count("\n") for label in labels)
    # Lines of names take nothing from the panels.
    figure.set_figheight(figure.get_figheight() + _LINE_IN * lines)
    return figure


def finish(name: str, title: str, caption: str, figure: Figure, folder: Path) -> Plot:
    """Write the figure's PNG into `folder` and make it part of a page."""
    figure.savefig(folder / f"{name}.png", dpi=_PNG_DPI, facecolor="white")
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return Plot(name, title, caption, _inline(text.getvalue(), name))


def _inline(svg: str, name: str) -> str:
    """SVG for the inside of an HTML page: no prologue, ids of its own, colours by variable."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'id="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    svg = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', _as_wide_as_drawn, svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    for number, colour in enumerate(DARK):
        svg = svg.replace(colour, f"var(--c{number})")
    return svg


def _as_wide_as_drawn(opening: re.Match[str]) -> str:
    """Keep a figure of one panel small where there is room for three."""
    return f'{opening[1]} style="width: {float(opening[2]) * _PX_PER_PT:.0f}px"'
