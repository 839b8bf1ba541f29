"""Logarithmic axes labelled in plain text: SVG inside a page shows TeX as it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DECADES_BY_TENS = 2.0
"""From here on powers of ten are labels enough; below, 2 and 5 have theirs too."""


def use_log_axis(axis: Axes, which: Literal["x", "y"], values: Iterable[float]) -> bool:
    """Make an axis logarithmic if all values along it are positive; returns whether it is.

    Values that span less than a decade stay on a straight axis: there would be hardly a label on
    the other.

    Args:
        axis: that is drawn on.
        which: of its two axes.
        values: that are drawn along it.
    """
    drawn = [value for value in values if math.isfinite(value)]
    low, high = min(drawn, default=0.0), max(drawn, default=0.0)
    if not 0 < 10 * low <= high:
        return False
    axis.set(**{f"{which}scale": "log"})
    digits = (1.0,) if math.log10(high / low) >= _DECADES_BY_TENS else (1.0, 2.0, 5.0)
    one = axis.xaxis if which == "x" else axis.yaxis
    one.set_major_locator(LogLocator(subs=digits))
    one.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    one.set_minor_formatter(NullFormatter())
    return True


def plain_number(value: float) -> str:
    """`0.001`, `500`, `2·10⁻⁵`: what every font has letters for, and no TeX."""
    text = f"{value:g}"
    if "e" not in text:
        return text
    digits, power = text.split("e")
    tens = f"10{str(int(power)).translate(_SUPERSCRIPT)}"
    return tens if digits == "1" else f"{digits}·{tens}"
