"""The loop over the frames of all cameras, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from edge_reid.agent.between_frames import BetweenFrames
from edge_reid.agent.lookers import Lookers
from edge_reid.agent.metrics import RunSummary
from edge_reid.agent.pipeline import Step
from edge_reid.agent.run_report import RunReport
from edge_reid.agent.signals import StopSignals
from edge_reid.agent.watched_camera import Turn, WatchedCamera
from edge_reid.core.errors import EdgeReidError, ModelChangeError
from edge_reid.core.log_context import camera_in_log
from edge_reid.core.redact import redact_within
from edge_reid.wire.events import CameraState

INTERRUPTED_FLUSH_S = 5.0
"""Who presses Ctrl-C waits so long at most for the last events to leave; the rest stay safe."""

_log = logging.getLogger(__name__)

CameraIsOver = Callable[[WatchedCamera, EdgeReidError | None], None]
"""Hears that a camera gives no more frames, and what broke."""


class FrameFeed(Protocol):
    """Says whose turn it is."""

    def turns(self, idle: Callable[[], None], over: CameraIsOver) -> Iterator[Turn | None]:
        """Every frame that is to be taken, in order. None: nobody's, but something else may be to
        do, such as to finish a look.

        Args:
            idle: called about once a second, whether or not frames come.
            over: called when a camera gives no more frames.

        Raises:
            EdgeReidError: a source broke; the other cameras have gone on to their end.
        """

    def done(self, turn: Turn) -> None:
        """Hear that a turn is over: its camera may have another."""


class AgentLoop:
    """Cameras at work, in the thread that runs the loop.

    Args:
        cameras: all that the agent has.
        feed: whose turn it is.
        lookers: take turns through the stages.
        between_frames: what other threads have made ready comes in here.
        report: how it goes.
        signals: Ctrl-C and SIGTERM, held while a look begins or is committed.
    """

    def __init__(
        self,
        cameras: Sequence[WatchedCamera],
        feed: FrameFeed,
        lookers: Lookers,
        *,
        between_frames: BetweenFrames,
        report: RunReport,
        signals: StopSignals,
    ) -> None:
        self._cameras = cameras
        self._feed = feed
        self._lookers = lookers
        self._between_frames = between_frames
        self._report = report
        self._signals = signals

    def run(self) -> RunSummary:
        """Take frames until there are no more, or somebody stops it.

        Raises:
            KeyboardInterrupt, SystemExit: by Ctrl-C or SIGTERM. The open tracks have ended.
            ModelChangeError: it is to be started anew with another model; the same holds.
            EdgeReidError, OSError: the source broke, or a disk is full; the same holds.
            Exception: a mistake of ours; the same holds.
        """
        self._report.started()
        try:
            return self._run_to_an_end()
        except (KeyboardInterrupt, SystemExit):  # also while it ends of itself
            self._report.interrupted(self._wind_up("ended", patience_s=INTERRUPTED_FLUSH_S))
            raise

    def _run_to_an_end(self) -> RunSummary:
        """Take frames until there are no more; an end that is interrupted is not done."""
        try:
            for turn in self._feed.turns(self._idle, self._end):
                with self._signals.held():
                    if turn:
                        self._begin(turn)
                    self._finish(self._lookers.done())
                del turn  # and with it the picture, before the next is made
        except ModelChangeError:
            self._wind_up("ended", patience_s=INTERRUPTED_FLUSH_S, is_over=False)
            raise
        except Exception as error:
            self._fail(error)
            raise
        return self._wind_up("ended")

    def _begin(self, turn: Turn) -> None:
        self._between_frames.run(turn.camera.name, turn.frame, self._settle)
        with camera_in_log(turn.camera.name):
            begun = turn.camera.begin(turn)
        self._lookers.look(begun)

    def _settle(self) -> None:
        self._finish(self._lookers.settled())

    def _finish(self, looks: Iterable[tuple[Turn, Step]]) -> None:
        for turn, step in looks:
            with camera_in_log(turn.camera.name):
                turn.camera.finish(turn, step)
                self._report.stepped(turn.camera, step)
            self._feed.done(turn)

    def _idle(self) -> None:
        """What goes on without frames of any one camera, or of all."""
        with self._signals.held():
            if self._lookers.are_held_up:
                self._settle()  # or never come round again, which whoever watches the loop notices
            if all(camera.frames.is_quiet for camera in self._cameras):
                self._between_frames.run(None, None, self._settle)
            for camera in self._cameras:
                if not self._lookers.has_in_hand(camera):
                    camera.end_tracks_if_away()
            self._report.idled()

    def _end(self, camera: WatchedCamera, error: EdgeReidError | None) -> None:
        with self._signals.held(), camera_in_log(camera.name):
            camera.end("failed" if error else "ended", str(error) if error else None)

    def _fail(self, error: Exception) -> None:
        """Wind up as far as that goes after an error, which is the one that counts."""
        try:
            self._wind_up("failed", reason=_in_words(error))
        except Exception as further:  # mostly the same again
            if str(further) != str(error):
                _log.error("the end of the run: %s", _in_words(further))
        except BaseException:  # who interrupts the end would else never hear what broke
            _log.error("the run: %s", _in_words(error))
            raise

    def _wind_up(
        self,
        state: CameraState,
        *,
        reason: str | None = None,
        patience_s: float | None = None,
        is_over: bool = True,
    ) -> RunSummary:
        """End the open tracks, deliver what can be delivered, and add up.

        Args:
            state: that the cameras are left in.
            reason: why, in words.
            patience_s: longest wait for the broker; None: as configured.
            is_over: whether the process ends, and so the service; else it begins anew.

        Raises:
            Exception: what the end of a camera has raised; the others have ended all the same, and
                what could be delivered was.
        """
        self._report.stopping(is_over=is_over)
        try:
            self._end_all(state, reason)
        except Exception:
            self._report.deliver(patience_s)
            raise
        return self._report.deliver(patience_s)

    def _end_all(self, state: CameraState, reason: str | None) -> None:
        """Raises the first error of several; who interrupts again waits for nothing more."""
        ends: list[Callable[[], None]]
        ends = [self._settle] * len(self._cameras)  # of each a look may end the settling
        ends += [partial(camera.end, state, reason) for camera in self._cameras]
        with self._signals.held():
            errors = [error for end in ends if (error := _error_of(end))]
        if errors:
            raise errors[0]


def _error_of(end: Callable[[], None]) -> Exception | None:
    """What was raised; whatever failed before may fail again, and must not keep others from it."""
    try:
        end()
    except Exception as error:
        return error
    return None


def _in_words(error: Exception) -> str:
    """What an error of ours says; of any other also what it is."""
    if isinstance(error, EdgeReidError | OSError):
        return str(error)
    return redact_within(f"unexpected {type(error).__name__}: {error}")
