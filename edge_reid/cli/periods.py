"""Periods and moments as people type them: `90d`, `2h`, `2026-03-01T12:00`."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def period_s(option: str, text: str) -> float:
    """Seconds of a period such as `90d`, `2h`, `30m` or `45s`.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch("([0-9]{1,6})([smhd])", text)
    if match is None or not int(match[1]):
        raise UsageError(
            f"{option}: expected a period such as 90d, 2h, 30m or 45s, got "
            f"{shown(text, TYPED_MAX)!r}"
        )
    return float(int(match[1]) * _SECONDS[match[2]])


def moment_utc_s(option: str, text: str, now_utc_s: float) -> float:
    """Unix seconds of a time such as `2026-03-01T12:00`, UTC without a zone, or of so long ago.

    Raises:
        UsageError: it is neither.
    """
    if re.fullmatch("[0-9]+[a-z]", text):
        return now_utc_s - period_s(option, text)
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError as error:
        raise UsageError(
            f"{option}: expected a time such as 2026-03-01T12:00 (UTC) or so long ago as 2h, got"
            f" {shown(text, TYPED_MAX)!r}"
        ) from error
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return zoned.timestamp()
