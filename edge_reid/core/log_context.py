"""Which camera a line of the log is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CAMERA: ContextVar[str | None] = ContextVar("camera", default=None)


@contextmanager
def camera_in_log(name: str) -> Iterator[None]:
    """What this thread logs in the block is about this camera.

    >>> with camera_in_log("gate"):
    ...     camera_logged()
    'gate'
    """
    token = _CAMERA.set(name)
    try:
        yield
    finally:
        _CAMERA.reset(token)


def camera_logged() -> str | None:
    """The camera that this thread is about; None: none, or all."""
    return _CAMERA.get()
