"""Carries out commands, beside the frames.

A thread takes one after the other from the inbox and does what takes time: reading files, waiting
for a gallery, writing a picture. What concerns the frames is a job, done between two of them by the
thread that takes the frames, so that the pipeline waits for nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.gallery_sync import GallerySync
from edge_reid.agent.kept_pictures import PictureFolder
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.errors import ConfigError, EdgeReidError, SourceError, UsageError
from edge_reid.delivery.command_inbox import CommandInbox
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.index import Index
from edge_reid.wire.commands import Command, Picture

_log = logging.getLogger(__name__)

TURN_S = 0.5
"""Longest wait for a command before looking at whether to stop."""
SOURCE_PATIENCE_S = 20.0
"""Longest wait for what the gallery's source says."""
FAREWELL_S = 2.0

Reload = Callable[[], AgentSettings]
"""Reads the configuration anew; raises ConfigError."""


class CommandRunner:
    """Carries out what the inbox lets through. `with` starts and stops it.

    Args:
        inbox: where commands come in and answers go out.
        settings: those that the agent was started with.
        policies: where a command puts another policy in force.
        sync: how the gallery follows its source; None for a device that has its own.
        jobs: what concerns the frames is done by.
        wrong_names: takes published names back.
        reload: reads the settings anew.
    """

    def __init__(
        self,
        inbox: CommandInbox,
        settings: AgentSettings,
        *,
        policies: CameraPolicies,
        sync: GallerySync | None,
        jobs: FrameJobs,
        wrong_names: WrongNames,
        reload: Reload,
    ) -> None:
        self._inbox = inbox
        self._settings = settings
        self._policies = policies
        self._sync = sync
        self._jobs = jobs
        self._wrong_names = wrong_names
        self._reload = reload
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def __enter__(self) -> CommandRunner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._jobs.close()
        self._thread.join(FAREWELL_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            command = self._inbox.next(TURN_S)
            if command is not None:
                self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        _log.info("command %s: %s", command.id, command.command)
        try:
            self._act(command)
        except ConfigError as error:
            self._inbox.refuse(command, str(error), mistakes=error.problems)
        except EdgeReidError as error:
            self._inbox.refuse(command, str(error))
        except CancelledError:
            self._inbox.refuse(command, "the agent is about to stop")
        except Exception as error:
            _log.exception("command %s failed unexpectedly", command.id)
            self._inbox.refuse(command, f"unexpected {type(error).__name__}: {error}")

    def _act(self, command: Command) -> None:
        self._check_camera(command)
        match command.command:
            case "snapshot":
                self._take_picture(command)
            case "reload":
                self._take_settings(command)
            case "sync-now":
                self._look_for_gallery(command)
            case "set-threshold":
                self._set_threshold(command)
            case "not-this-person":
                self._take_name_back(command)

    def _check_camera(self, command: Command) -> None:
        """Raise UsageError unless the command is for this agent, or for a camera of it."""
        if command.camera not in {None, *self._settings.cameras}:
            ours = "the one" if len(self._settings.cameras) == 1 else "those"
            raise UsageError(
                f"{command.command}: expected camera {self._cameras}, {ours} of this agent, got "
                f"{command.camera}; `edge-reid fleet` shows which agent has which"
            )

    @property
    def _cameras(self) -> str:
        return " or ".join(self._settings.cameras)

    def _only_camera(self, command: Command) -> str:
        """The camera that a command is about.

        Raises:
            UsageError: it names none, and there are several.
        """
        if command.camera is None and len(self._settings.cameras) > 1:
            raise UsageError(
                f"{command.command}: expected a camera, as this agent has several; name "
                f"{self._cameras} (--camera)"
            )
        return command.camera or next(iter(self._settings.cameras))

    def _take_picture(self, command: Command) -> None:
        limits = self._settings.commands
        assert limits.snapshot_dir is not None, "the settings are checked"  # noqa: S101
        folder = PictureFolder(
            limits.snapshot_dir,
            max_files=limits.snapshot_max_files,
            max_bytes=limits.snapshot_max_bytes,
        )
        camera = self._only_camera(command)
        frame = self._jobs.do(lambda: None, camera)
        if frame is None:
            raise SourceError(
                f"camera {camera}: expected a frame to keep, none comes now; try "
                "again when the camera's status says running"
            )
        kept = folder.keep(frame, camera)
        picture = Picture(file=str(kept.path), size_bytes=kept.size_bytes, sha256=kept.sha256)
        self._inbox.done(command, picture=picture)

    def _take_settings(self, command: Command) -> None:
        """All that can be taken without a restart, or nothing if anything is wrong."""
        found = self._reload()
        read = self._read_gallery()

        rules = {name: camera.decide for name, camera in found.cameras.items()}
        self._jobs.do(lambda: self._policies.use_rules(rules, read))
        self._inbox.note_threshold(None)
        self._inbox.done(
            command,
            restart_for=self._waiting_for_restart(found),
            threshold=self._policies.first.threshold,
            gallery_version=self._policies.index.version,
        )

    def _read_gallery(self) -> Index | None:
        """The gallery of this device as it is now; None where sync keeps it."""
        if self._sync:
            return None
        policy = self._policies.first
        model_id = policy.index.model_id
        with GalleryStore.open(self._settings.gallery, model_id=model_id) as store:
            return Index(store.snapshot(), fuse=policy.thresholds.fuse)

    def _waiting_for_restart(self, found: AgentSettings) -> tuple[str, ...]:
        ours = self._settings
        return tuple(
            name
            for name in AgentSettings.model_fields
            if name not in {"decide", "cameras"} and getattr(found, name) != getattr(ours, name)
        ) + (("cameras",) if _without_rules(found) != _without_rules(ours) else ())

    def _look_for_gallery(self, command: Command) -> None:
        if self._sync is None:
            raise UsageError("sync-now: this device has a gallery of its own; reload reads it anew")
        state = self._sync.look_now(SOURCE_PATIENCE_S)
        self._inbox.done(command, gallery_version=state.version, note=self._sync.model_change)

    def _set_threshold(self, command: Command) -> None:
        threshold, bounds = command.threshold, self._settings.commands
        assert threshold is not None, "the payload is checked"  # noqa: S101
        least, most = bounds.threshold_min, bounds.threshold_max
        if not least <= threshold <= most:
            raise UsageError(
                f"set-threshold: expected {least:g} to {most:g} (commands.threshold_min and "
                f"threshold_max on the device), got {threshold:g}"
            )

        self._jobs.do(lambda: self._policies.use_threshold(threshold, command.camera))
        if command.camera is None or len(self._settings.cameras) == 1:
            self._inbox.note_threshold(threshold)
        self._inbox.done(command, threshold=threshold)

    def _take_name_back(self, command: Command) -> None:
        event_id = command.event_id
        assert event_id is not None, "the payload is checked"  # noqa: S101
        self._inbox.done(command, note=self._wrong_names.take_event_back(event_id).in_words)


def _without_rules(settings: AgentSettings) -> dict[str, CameraSettings]:
    """Of several cameras, what a reload cannot bring; of the short form nothing, as its keys are
    compared by themselves.
    """
    if settings.camera is not None:
        return {}
    same = DecideSettings()
    return {
        name: camera.model_copy(update={"decide": same})
        for name, camera in settings.cameras.items()
    }
