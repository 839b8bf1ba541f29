"""One camera from frame to hits. No file, no network, no clock of its own.

    frame → (motion) → detect → track → pick crops → embed → decide → hits

Detection runs at its own cadence with tracking in between; embedding runs on demand, for the
best few crops of a track, and while it tracks for detections that more than one track could take.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from edge_reid.agent.camera_areas import CameraAreas
from edge_reid.agent.contested_looks import ContestedLooks
from edge_reid.agent.drift_watch import DriftWatch
from edge_reid.agent.embedding_time import EmbeddingTime
from edge_reid.agent.metrics import Counters, StageClock
from edge_reid.agent.policy import PolicyHolder
from edge_reid.agent.track_decisions import TrackDecisions
from edge_reid.agent.track_state import EmbeddedCrop, TrackReport
from edge_reid.agent.zone_watch import ZoneWatch
from edge_reid.core.config.camera_settings import CameraSettings
from edge_reid.core.types import (
    Crop,
    Decision,
    Detection,
    Embedding,
    Frame,
    Hit,
    Image,
    Known,
    Track,
    TrackUpdate,
    Uncertain,
    Vectors,
    ZoneChange,
)
from edge_reid.matching.likelihood_ratio import LikelihoodRatio
from edge_reid.vision.camera_motion import NO_SHIFT, CameraMotion
from edge_reid.vision.crops import CropPicker, LargerPicture
from edge_reid.vision.detect import Detector
from edge_reid.vision.embed import Embedder
from edge_reid.vision.motion import MotionGate
from edge_reid.vision.track import Tracker


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one frame brought."""

    camera: str
    frame: Frame
    hits: tuple[Hit, ...]
    tracks: tuple[Track, ...]
    decisions: dict[int, Decision]
    """By track_id, for the tracks that have one."""
    crops: tuple[Crop, ...]
    """What was embedded at this frame."""
    embeddings: tuple[Embedding, ...] = ()
    """Of `crops`, in their order."""
    zone_changes: tuple[ZoneChange, ...] = ()
    """What happened at zones and lines."""
    uncompared: int = 0
    """People who were not compared with tracks, as no time was left."""


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """What the end of all tracks brought."""

    hits: tuple[Hit, ...]
    zone_changes: tuple[ZoneChange, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is kept of a frame when it has been taken: its picture is six megabytes of 1080p."""

    captured_utc_s: float
    size_px: tuple[int, int]


class Closeups(Protocol):
    """Larger pictures of what frames show."""

    def closeup(self, frame: Frame) -> LargerPicture | None:
        """The one of the moment of a frame; None when there is none. It never waits."""


class Cadence:
    """Says when a stage that runs `rate_hz` times a second of video is due.

    Dues lie on a fixed grid, so that a file gives the same frames in every run. A rate above
    the frame rate makes every frame due. After a pause, and when the clock was set, to either
    side, the grid begins anew.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz
        self._next_s: float | None = None

    def due(self, now_s: float) -> bool:
        """Whether the stage runs at this moment; asking is taking."""
        slack_s = self._period_s * 0.01  # frame times are rounded: 0.4 s is 0.39999
        far_s = self._period_s + 2 * slack_s
        if self._next_s is None or abs(now_s - self._next_s) > far_s:
            self._next_s = now_s
        if now_s + slack_s < self._next_s:
            return False
        self._next_s += self._period_s
        return True


class Pipeline:
    """The stages of one camera, and the state between its frames.

    Args:
        camera: its name.
        detector, embedder: the models; other cameras may use them too, in other threads.
        policies: gallery, threshold and rules in force, looked at anew with every frame; the
            gallery is of the embedder's model (checked by whoever builds them). What another policy
            changes of the people in view is among the hits of its first frame.
        settings: cadence, and what is kept of a track.
        decision_clock: Unix seconds now, for live sources; None takes the frame's own time, so
            that a file gives the same events in every run.
        drift: counts the similarities of unknown people; None: nobody does.
        closeups: larger pictures, from which crops are cut; None: all are cut from the frames.
    """

    def __init__(
        self,
        camera: str,
        *,
        detector: Detector,
        embedder: Embedder,
        policies: PolicyHolder,
        settings: CameraSettings,
        decision_clock: Callable[[], float] | None = None,
        stage_clock: StageClock | None = None,
        drift: DriftWatch | None = None,
        closeups: Closeups | None = None,
    ) -> None:
        self.counters = Counters()
        self._camera = camera
        self.stages = stage_clock or StageClock()
        self._detector = detector
        self._embedder = embedder
        self._policies = policies
        self._cadence = Cadence(settings.detect.rate_hz)
        self._areas = CameraAreas.of(settings)
        self._gate = MotionGate(self._areas.masks) if settings.detect.motion_gate else None
        self._tracker = Tracker(settings.track, strong_score=detector.strong_score)
        self._camera_motion = CameraMotion()
        self._ratio = LikelihoodRatio.of(embedder.manifest)
        self._min_height_px = settings.embed.min_height_px
        self._picker = CropPicker(settings.embed)
        self._decisions = TrackDecisions(
            policies.current, keep=settings.embed.crops_per_track, relink_s=settings.track.relink_s
        )
        has_areas = self._areas.zones or self._areas.lines
        self._zones = ZoneWatch(self._areas, self._decisions.visits) if has_areas else None
        self._decision_clock = decision_clock
        self._embedding_time = EmbeddingTime(decision_clock) if decision_clock else None
        self._drift = drift
        self._closeups = closeups
        self._occupied = self._has_somebody = False
        self._last: _Moment | None = None

    @property
    def has_somebody(self) -> bool:
        """Whether the last look has found somebody for sure, or somebody is followed."""
        return self._has_somebody

    def step(self, frame: Frame) -> Step:
        """Take one frame of a recording through all stages; the detector keeps its cadence."""
        return self._take(frame, is_look=self._cadence.due(frame.captured_utc_s))

    def look(
        self, frame: Frame, *, most_crops: int | None = None, due_utc_s: float | None = None
    ) -> Step:
        """Take one frame through all stages whose turn it is.

        Args:
            frame: of a live camera; it may be long after the last one.
            most_crops: of how many people a crop is embedded; None: of all who need it.
            due_utc_s: by when what it brings is to be committed, so that no more crops are embedded
                than there is time for; None: it may take its time.
        """
        return self._take(frame, is_look=True, most_crops=most_crops, due_utc_s=due_utc_s)

    def _take(
        self,
        frame: Frame,
        *,
        is_look: bool,
        most_crops: int | None = None,
        due_utc_s: float | None = None,
    ) -> Step:
        self._decisions.use(self._policies.current)
        moment = _Moment(frame.captured_utc_s, frame.size_px)
        detections = self._detect(frame) if is_look else None

        @cache
        def larger() -> LargerPicture | None:
            """Asked for once a frame, and only if somebody wants it."""
            return self._closeups.closeup(frame) if self._closeups else None

        with self.stages.stage("track"):
            shift_px = self._shift_px(frame, detections)
            looks = self._contested_looks(frame, most_crops, larger, due_utc_s)
            update = self._tracker.update(
                detections, frame.captured_utc_s, frame.size_px, shift_px, looks
            )
        if looks:
            self.counters.embeddings += looks.embeddings
            self.counters.compared += looks.embeddings
            self.counters.uncompared += looks.given_up
        if detections is not None:
            sure = any(each.score >= self._detector.strong_score for each in detections)
            self._has_somebody = sure or bool(update.active)
            self._occupied = bool(detections) or bool(update.active)
        self._decisions.locate(update.active)
        most_crops = self._most_crops(most_crops, due_utc_s)
        crops = self._pick(frame, update, most_crops, larger) if detections is not None else ()
        embedded = self._embed(crops)
        told = self._hits(self._recognise(crops, embedded), update.active, moment)
        ended = self._end(moment, update.ended)
        continued = self._tracker.end(self._decisions.take_continued())
        hits = (
            *told,
            *ended,
            *self._end(moment, continued),
            *self._hits(self._decisions.redecide(), update.active, moment),
        )
        changes = self._look_at_zones(moment, update, continued) if detections is not None else ()
        self.counters.frames += 1
        self._last = moment
        decisions = self._decisions.decisions
        return Step(
            self._camera,
            frame,
            hits,
            update.active,
            decisions,
            crops,
            embedded,
            changes,
            uncompared=looks.given_up if looks else 0,
        )

    def deny(self, visit: int, identity: str) -> None:
        """An operator says that whoever came by this visit is not this person; how they are decided
        now is among the hits of the next frame.
        """
        self._decisions.deny(visit, identity)

    def finish(self) -> Ending:
        """End all tracks: nobody is followed over what comes next, if anything does."""
        self._decisions.use(self._policies.current)
        ended, last = self._tracker.flush(), self._last
        hits = self._end(last, ended) if last is not None else ()
        self._decisions.forget_recent()
        if self._zones is None or last is None:
            return Ending(hits, ())
        return Ending(hits, self._zones.finish(last.size_px, self._now(last)))

    def _look_at_zones(
        self, moment: _Moment, update: TrackUpdate, ended: Sequence[Track]
    ) -> tuple[ZoneChange, ...]:
        if self._zones is None:
            return ()
        gone = {track.track_id for track in ended}
        tracks = (track for track in update.active if track.track_id not in gone)
        return self._zones.look(tracks, moment.size_px, moment.captured_utc_s, self._now(moment))

    def _detect(self, frame: Frame) -> Sequence[Detection]:
        if self._gate is not None:
            with self.stages.stage("motion"):
                moved = self._gate.moved(frame.image, frame.luma)
            if not moved and not self._occupied:
                return ()
        with self.stages.stage("detect"):
            self.counters.detections_run += 1
            found = self._areas.unmasked(self._detector.detect(frame.image), frame.size_px)
        self.counters.detections += len(found)
        return found

    def _shift_px(
        self, frame: Frame, detections: Sequence[Detection] | None
    ) -> tuple[float, float]:
        """How far the camera has moved the picture since the look before; nobody cares while nobody
        is followed, and no track can begin.
        """
        if detections is None:
            return NO_SHIFT
        if not detections and self._tracker.is_idle:
            self._camera_motion.forget()
            return NO_SHIFT
        return self._camera_motion.shift_px(frame.image, frame.luma)

    def _contested_looks(
        self,
        frame: Frame,
        most: int | None,
        larger: Callable[[], LargerPicture | None],
        due_utc_s: float | None,
    ) -> ContestedLooks | None:
        """None: nobody has measured how alike people are in the eyes of the model, or there is no
        time for more crops than decisions need.
        """
        if self._ratio is None or most is not None:
            return None
        return ContestedLooks(
            frame,
            embed=lambda crop: self._vectors([crop])[0],
            larger=larger,
            seen_before=self._decisions.look_of,
            ratio=self._ratio,
            min_height_px=self._min_height_px,
            has_time=self._has_time(due_utc_s),
        )

    def _has_time(self, due_utc_s: float | None) -> Callable[[], bool]:
        if self._embedding_time is None or due_utc_s is None:
            return lambda: True
        return self._embedding_time.until_due(due_utc_s)

    def _most_crops(self, most: int | None, due_utc_s: float | None) -> int | None:
        """Of how many people a crop is embedded for decisions; the others wait for a later look."""
        if self._embedding_time is None or due_utc_s is None:
            return most
        fitting = self._embedding_time.fitting(due_utc_s)
        return min((bound for bound in (most, fitting) if bound is not None), default=None)

    def _vectors(self, crops: Sequence[Image]) -> Vectors:
        time = self._embedding_time
        with self.stages.stage("embed"), time.taken(len(crops)) if time else nullcontext():
            return self._embedder.embed(crops)

    def _pick(
        self,
        frame: Frame,
        update: TrackUpdate,
        most_crops: int | None,
        larger: Callable[[], LargerPicture | None],
    ) -> tuple[Crop, ...]:
        with self.stages.stage("pick"):
            self._decisions.meet(update.close, came_out=update.came_out)
            for track_id in self._decisions.take_wanting_fresh():
                self._picker.forget(track_id)
            return self._picker.pick(
                frame,
                update.active,
                skip=self._decisions.resting,
                most=most_crops,
                larger=larger() if update.active else None,
            )

    def _recognise(
        self, crops: Sequence[Crop], embeddings: Sequence[Embedding]
    ) -> list[TrackReport]:
        """Decide the tracks of these crops anew."""
        by_track: defaultdict[int, list[EmbeddedCrop]] = defaultdict(list)
        for crop, embedding in zip(crops, embeddings, strict=True):
            by_track[crop.track_id].append(EmbeddedCrop(embedding, crop.box, crop.captured_utc_s))
        with self.stages.stage("match"):
            reports = [self._decisions.observe(track_id, new) for track_id, new in by_track.items()]
        for track_id, qualities in self._decisions.take_settled().items():
            self._picker.resume(track_id, qualities)
        return [report for report in reports if report is not None]

    def _embed(self, crops: Sequence[Crop]) -> tuple[Embedding, ...]:
        if not crops:
            return ()
        vectors = self._vectors([crop.image for crop in crops])
        self.counters.embeddings += len(crops)
        self.counters.enlarged += sum(crop.is_enlarged for crop in crops)
        model_id = self._embedder.manifest.model_id
        return tuple(
            Embedding(vector, model_id, crop.quality)
            for crop, vector in zip(crops, vectors, strict=True)
        )

    def _end(self, moment: _Moment, tracks: Sequence[Track]) -> tuple[Hit, ...]:
        hits: list[Hit] = []
        for track in tracks:
            self._picker.forget(track.track_id)
            ended = self._decisions.close(track.track_id)
            self._count(ended.decision)
            hits += [self._hit(report, track, moment) for report in ended.reports]
        return tuple(hits)

    def _hits(
        self, reports: Iterable[TrackReport], tracks: Sequence[Track], moment: _Moment
    ) -> tuple[Hit, ...]:
        by_id = {track.track_id: track for track in tracks}
        return tuple(self._hit(report, by_id[report.track_id], moment) for report in reports)

    def _hit(self, report: TrackReport, track: Track, moment: _Moment) -> Hit:
        """The event that tells of a track: it shows the best of its crops."""
        return Hit(
            type=report.kind,
            decision=report.decision,
            track_id=track.track_id,
            box=report.best.box,
            frame_size_px=moment.size_px,
            captured_utc_s=report.best.captured_utc_s,
            decided_utc_s=self._now(moment),
            first_seen_utc_s=track.first_seen_utc_s,
            last_seen_utc_s=track.last_seen_utc_s,
            continues=report.continues,
            zones=self._areas.zones_of(report.best.box, moment.size_px),
            embeddings=report.embeddings,
        )

    def _count(self, decision: Decision | None) -> None:
        if self._drift:
            self._drift.note(decision)
        self.counters.tracks += 1
        if isinstance(decision, Known):
            self.counters.hits_by_identity[decision.identity] += 1
        elif decision is None or isinstance(decision, Uncertain):
            self.counters.uncertain_tracks += 1
        else:
            self.counters.unknown_tracks += 1
            if decision.similarity is not None:
                self.counters.unknown_similarities.note(decision.similarity)

    def _now(self, moment: _Moment) -> float:
        return self._decision_clock() if self._decision_clock else moment.captured_utc_s
