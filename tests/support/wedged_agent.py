"""The agent, but its pipeline never comes back from one of its frames.

wedged_agent.py FRAMES run …
"""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_reid.agent.pipeline import Pipeline
from edge_reid.cli.main import main

look = Pipeline.look
count = itertools.count(1)


def hang_once(self, frame, **limits):  # type: ignore[no-untyped-def]
    if next(count) >= int(sys.argv[1]):
        threading.Event().wait()
    return look(self, frame, **limits)


Pipeline.look = hang_once  # type: ignore[method-assign]
main(sys.argv[2:])
