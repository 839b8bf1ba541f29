"""The log of `run`: lines for people, or JSON for programs. Neither says the same without end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from edge_reid.agent.observers import Observer
from edge_reid.cli.options import LogFormat
from edge_reid.core.errors import EdgeReidError
from edge_reid.core.foreign_text import LOGGED_MAX, ShownFormatter, shown_json
from edge_reid.core.log_context import camera_logged
from edge_reid.core.repeat_limit import RepeatLimit

if TYPE_CHECKING:
    from edge_reid.agent.metrics import RunSummary

_log = logging.getLogger("edge_reid.run")

_Key: TypeAlias = tuple[str, int, str, str | None]
"""Logger, level, message without its arguments, camera."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and `camera` where known."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LOGGED_MAX],
        }
        more = {key: getattr(record, key, None) for key in ("camera", "repeats", "summary")}
        more["error"] = self.formatException(record.exc_info) if record.exc_info else None
        known = {key: value for key, value in more.items() if value is not None}
        return shown_json(json.dumps(line | known, ensure_ascii=False))


class RunLogHandler(logging.StreamHandler[Any]):
    """Writes to standard error. What is said too often is counted, and the count is said."""

    def __init__(self, limit: RepeatLimit) -> None:
        super().__init__()
        self._limit = limit  # guarded by the handler's own lock

    def emit(self, record: logging.LogRecord) -> None:
        self._say_withheld()
        camera = vars(record).setdefault("camera", camera_logged())
        key = record.name, record.levelno, str(record.msg), camera
        if self._limit.passes(key):
            super().emit(record)

    def close(self) -> None:
        self.acquire()
        try:
            self._say_withheld(is_end=True)
        finally:
            self.release()
        super().close()

    def _say_withheld(self, *, is_end: bool = False) -> None:
        for key, repeats in self._limit.take_withheld(is_end=is_end):
            name, level, message, camera = cast("_Key", key)
            line = f"{repeats} more of these were not written: {message}"
            record = logging.LogRecord(name, level, "", 0, line, None, None)
            vars(record).update(camera=camera, repeats=repeats)
            super().emit(record)


class RunLog(Observer):
    """An observer that logs what a person should know."""

    def notice(self, line: str, /) -> None:
        _log.warning("%s", line)

    def camera_notice(self, camera: str, line: str, /) -> None:
        _log.warning("%s", line, extra={"camera": camera})

    def interrupted(self, summary: RunSummary, /) -> None:
        self.show(summary)

    def show(self, summary: RunSummary) -> None:
        """The figures of a run at its end."""
        _log.info("the run has ended", extra={"summary": asdict(summary)})


def log_run(log_format: LogFormat) -> None:
    """Have this process log as `run` does; as JSON also what is worth knowing and no fault."""
    is_json = log_format is LogFormat.JSON
    handler = RunLogHandler(RepeatLimit())
    handler.setFormatter(JsonFormatter() if is_json else ShownFormatter())
    handler.setLevel(logging.INFO if is_json else logging.WARNING)
    if is_json:
        logging.getLogger("edge_reid").setLevel(logging.INFO)
    logging.lastResort = handler


@contextmanager
def errors_logged(log_format: LogFormat) -> Iterator[None]:
    """Have an error that ends the run stand in a JSON log as all else does.

    Raises:
        SystemExit: with the exit code of the error.
    """
    try:
        yield
    except EdgeReidError as error:
        if log_format is LogFormat.TEXT:
            raise
        _log.error("%s", error)
        raise SystemExit(error.exit_code) from None
