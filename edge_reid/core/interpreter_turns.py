"""How long a thread keeps Python's lock while another wants it."""

from __future__ import annotations

import sys

SWITCH_S = 0.0005


def frames_soon_have_their_turn() -> None:
    """Let a frame wait no longer than `SWITCH_S` for a thread of ours that works beside it.

    It wants the lock back many times, after each kernel of NumPy, OpenCV and the interpreter of a
    model; Python's own 5 ms would add up.
    """
    sys.setswitchinterval(SWITCH_S)
