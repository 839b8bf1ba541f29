"""Carries out commands, beside the frames.

A thread takes one after the other from the desk and does what takes time: reading files, waiting
for a gallery, writing a picture. What concerns the frames is handed over and happens between two
of them, so that the pipeline waits for nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from edge_reid.agent.changeover import Changeover
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.kept_pictures import PictureFolder
from edge_reid.agent.pipeline import Pipeline
from edge_reid.agent.policy import Standard
from edge_reid.core.config import AgentSettings
from edge_reid.core.errors import ConfigError, EdgeReidError, SourceError, UsageError
from edge_reid.core.types import Frame
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.wire.commands import Command, Picture

_log = logging.getLogger(__name__)

TURN_S = 0.5
"""Longest wait for a command before looking at whether to stop."""
FRAME_PATIENCE_S = 10.0
"""Longest wait for a frame."""
SOURCE_PATIENCE_S = 20.0
"""Longest wait for what the gallery's source says."""
FAREWELL_S = 2.0

Reload = Callable[[], AgentSettings]
"""Reads the configuration anew; raises ConfigError."""


class CommandRunner:
    """Carries out what the desk lets through. `with` starts and stops it.

    Args:
        settings: those that the agent was started with.
        reload: reads them anew.
    """

    def __init__(
        self,
        desk: CommandInbox,
        settings: AgentSettings,
        *,
        pipeline: Pipeline,
        standard: Standard,
        changeover: Changeover,
        sync: GallerySync | None,
        reload: Reload,
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._pipeline = pipeline
        self._standard = standard
        self._changeover = changeover
        self._sync = sync
        self._reload = reload
        self._errands: deque[tuple[Future[Frame | None], Callable[[], None]]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def __enter__(self) -> CommandRunner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        while self._errands:
            self._errands.popleft()[0].cancel()
        self._thread.join(FAREWELL_S)

    def between_frames(self, frame: Frame | None) -> None:
        """Do what has to be done now that `frame` is about to be looked at, or none has come."""
        while self._errands:
            future, work = self._errands.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                work()
            except Exception as error:  # the command fails, the frames do not
                future.set_exception(error)
            else:
                future.set_result(frame)

    def _run(self) -> None:
        while not self._stopping.is_set():
            command = self._desk.next(TURN_S)
            if command is not None:
                self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        _log.info("command %s: %s", command.id, command.command)
        try:
            self._act(command)
        except ConfigError as error:
            self._desk.refuse(command, str(error), mistakes=error.problems)
        except EdgeReidError as error:
            self._desk.refuse(command, str(error))
        except CancelledError:
            self._desk.refuse(command, "the agent is about to stop")
        except Exception as error:
            _log.exception("command %s stumbled", command.id)
            self._desk.refuse(command, f"unexpected {type(error).__name__}: {error}")

    def _act(self, command: Command) -> None:
        match command.command:
            case "snapshot":
                self._take_picture(command)
            case "reload":
                self._take_settings(command)
            case "sync-now":
                self._look_for_gallery(command)
            case "set-threshold":
                self._set_threshold(command)

    def _take_picture(self, command: Command) -> None:
        limits = self._settings.commands
        assert limits.snapshot_dir is not None, "the settings are checked"  # noqa: S101
        album = PictureFolder(
            limits.snapshot_dir,
            max_files=limits.snapshot_max_files,
            max_bytes=limits.snapshot_max_bytes,
        )
        frame = self._between_frames(lambda: None)
        if frame is None:
            raise SourceError(
                f"camera {self._settings.camera}: expected a frame to keep, none comes now; try "
                "again when the camera's status says running"
            )
        kept = album.keep(frame, self._settings.camera)
        picture = Picture(file=str(kept.path), size_bytes=kept.size_bytes, sha256=kept.sha256)
        self._desk.done(command, picture=picture)

    def _take_settings(self, command: Command) -> None:
        """All that can be taken without a restart, or nothing if anything is wrong."""
        found = self._reload()
        read = self._read_gallery()

        def put_in_force() -> None:
            index = self._changeover.index if read is None else read  # an empty one is falsy
            self._standard.configure(found.decide, index)  # first, as it alone can fail
            self._pipeline.decide_by(found.decide)
            self._changeover.put_in_force(index)

        self._between_frames(put_in_force)
        self._desk.note_threshold(None)
        self._desk.done(
            command,
            restart_for=self._waiting_for_restart(found),
            threshold=self._threshold,
            gallery_version=self._changeover.index.version,
        )

    def _read_gallery(self) -> Index | None:
        """The gallery of this device as it is now; None where sync keeps it."""
        if self._sync:
            return None
        model_id = self._changeover.index.model_id
        with GalleryStore.open(self._settings.gallery, model_id=model_id) as store:
            return Index(store.snapshot())

    def _waiting_for_restart(self, found: AgentSettings) -> tuple[str, ...]:
        ours = self._settings
        return tuple(
            name
            for name in AgentSettings.model_fields
            if name != "decide" and getattr(found, name) != getattr(ours, name)
        )

    def _look_for_gallery(self, command: Command) -> None:
        if self._sync is None:
            raise UsageError("sync-now: this device has a gallery of its own; reload reads it anew")
        state = self._sync.look_now(SOURCE_PATIENCE_S)
        self._desk.done(command, gallery_version=state.version)

    def _set_threshold(self, command: Command) -> None:
        threshold, bounds = command.threshold, self._settings.commands
        assert threshold is not None, "the payload is checked"  # noqa: S101
        least, most = bounds.threshold_min, bounds.threshold_max
        if not least <= threshold <= most:
            raise UsageError(
                f"set-threshold: expected {least:g} to {most:g} (commands.threshold_min and "
                f"threshold_max on the device), got {threshold:g}"
            )

        def put_in_force() -> None:
            self._standard.set_by_command = threshold
            self._changeover.decide_anew()

        self._between_frames(put_in_force)
        self._desk.note_threshold(threshold)
        self._desk.done(command, threshold=self._threshold)

    @property
    def _threshold(self) -> float:
        return self._standard.threshold_of(self._changeover.index)

    def _between_frames(self, work: Callable[[], None]) -> Frame | None:
        """Have work done between two frames; returns the frame that came then, if one did.

        Raises:
            SourceError: the pipeline did not turn to it, and the work is not done.
            CancelledError: the agent stops.
        """
        future: Future[Frame | None] = Future()
        self._errands.append((future, work))
        if self._stopping.is_set():
            future.cancel()
        try:
            return future.result(FRAME_PATIENCE_S)
        except FutureTimeoutError:
            if not future.cancel():  # it has begun meanwhile
                return future.result()
        raise SourceError(
            f"camera {self._settings.camera}: expected a frame within {FRAME_PATIENCE_S:g} s, none"
            " came; nothing was changed"
        )
