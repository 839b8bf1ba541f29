"""What the page knows of a run."""

from __future__ import annotations

from dataclasses import dataclass

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.web.kept_hits import KeptHits
from edge_reid.web.live_view import LiveView


@dataclass(slots=True, eq=False)
class RunSeen:
    """Written by one thread, the page's reads."""

    view: LiveView
    kept: KeptHits | None = None
    """Of this run and before, on disk; None: none are kept there."""
    parts: AgentParts | None = None
    """None until the agent is built."""
    is_over: bool = False
