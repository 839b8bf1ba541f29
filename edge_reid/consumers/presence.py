"""Whether an agent is there, by its status and the age of that.

The broker speaks for an agent that is lost, by its last will. A broker that dies itself forgets the
will, and so does one at the far end of a bridge: so a status names its period, and one that is
overdue is of an agent that nobody hears.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from edge_reid.wire.payloads import SILENT_PERIODS, AgentStatus, utc_s

Presence = Literal["online", "silent", "lost", "offline", "unknown"]
"""`silent`: the last it said is that it is online, too long ago. `lost`: by its will. `offline`: it
said so itself. `unknown`: only others speak of it."""

AGENT_PERIOD_S = 30.0
"""Period of agents before 0.5, whose status does not tell it."""
CLOCKS_S = 60.0
"""Accepted difference between a device's clock and ours, before it is called silent."""


def presence_of(status: AgentStatus | None, now: datetime) -> Presence:
    """How an agent stands at a moment, by its last status; None: it has none."""
    if status is None:
        return "unknown"
    if status.state == "online":
        period_s = status.period_s or AGENT_PERIOD_S
        return "silent" if is_overdue(status.at, period_s, now) else "online"
    return "lost" if status.is_lost else "offline"


def is_overdue(at: str, period_s: float | None, now: datetime) -> bool:
    """Whether what was written then, and is written anew every period, should be newer by now."""
    if period_s is None:
        return False
    return now.timestamp() - utc_s(at) >= SILENT_PERIODS * period_s + CLOCKS_S
