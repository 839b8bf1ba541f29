"""Runs of an agent over some seconds of the clip, by what is configured for its camera."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import campus

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.metrics import RunSummary
from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings


class AreaRuns:
    """Six seconds in which people come and go; nobody is enrolled.

    Args:
        begin_s, length_s: another piece of the clip.
        codec: `copy` leaves its pictures as they are, from 0 on.
    """

    def __init__(
        self, folder: Path, begin_s: int = 24, length_s: int = 6, codec: str = "libx264"
    ) -> None:
        self.gallery = folder / "gallery.db"
        self.clip = folder / "clip.mp4"
        self._lines = folder / "events.jsonl"
        with pytest.raises(SystemExit, match="0"):
            main(["gallery", "init", str(self.gallery)])
        cut = ["-ss", str(begin_s), "-t", str(length_s), "-i", str(campus.CLIP), "-c:v", codec]
        subprocess.run(["ffmpeg", "-v", "error", *cut, str(self.clip)], check=True)

    def events(self, **camera: object) -> list[dict[str, Any]]:
        """What is written as JSON lines."""
        self._lines.unlink(missing_ok=True)
        self.summary(**camera)
        return [json.loads(line) for line in self._lines.read_text().splitlines()]

    def summary(self, **camera: object) -> RunSummary:
        """How such a run went."""
        return run_agent(self.settings(**camera), outputs=Outputs(events=str(self._lines)))

    def settings(self, **camera: object) -> AgentSettings:
        """Of an agent `device` in `lab` with the camera `gate`."""
        return AgentSettings.model_validate(
            {
                "site": "lab",
                "agent": "device",
                "gallery": self.gallery,
                "cameras": {"gate": {"source": {"uri": str(self.clip)}, **camera}},
            }
        )
