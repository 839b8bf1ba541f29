"""`edge-reid`, as a process of its own in which a look at a camera never ends.

    PYTHONPATH=tests python -m support.hung_look run --config agent.toml

It says `hangs` on standard error as soon as it does.
"""

from __future__ import annotations

import sys
import threading
from itertools import count
from typing import Any

from edge_reid.agent.pipeline import Pipeline, Step
from edge_reid.cli.main import main
from edge_reid.core.types import Frame

_LOOKS_BEFORE = 20


def hang_after_some_looks() -> None:
    look, looks = Pipeline.look, count()

    def looked(pipeline: Pipeline, frame: Frame, **limits: Any) -> Step:
        if next(looks) == _LOOKS_BEFORE:
            print("hangs", file=sys.stderr, flush=True)
            threading.Event().wait()
        return look(pipeline, frame, **limits)

    Pipeline.look = looked  # type: ignore[method-assign]


if __name__ == "__main__":
    hang_after_some_looks()
    main()
