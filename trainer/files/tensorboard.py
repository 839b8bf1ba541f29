"""Scalars in TensorBoard's file format, written without TensorFlow, so with every backend."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_START = 1
"""`SessionLog.START` of TensorFlow's event.proto."""


class ScalarFile:
    """An event file in `folder`; without the tensorboard package nothing is written.

    A folder that has files already is gone on with: what they hold from `first_step` on no longer
    shows.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._path: Path | None = None
        if importlib.util.find_spec("tensorboard") is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._write(file_version="brain.Event:2")
        # Tells TensorBoard to purge what an earlier process wrote for later steps.
        self._write(step=first_step + 1, session_log={"status": _START})

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write `values` down for a step."""
        scalars = [{"tag": name, "simple_value": value} for name, value in values.items()]
        self._write(step=step, summary={"value": scalars})

    def _write(self, **fields: Any) -> None:
        if self._path is None:
            return
        # Imported late: a workstation may have no TensorBoard.
        from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415
        from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415

        event = Event(wall_time=time.time(), **fields)
        with self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())
