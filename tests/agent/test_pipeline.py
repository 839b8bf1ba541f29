"""What a camera tells of somebody who stands still when more changes than their crops."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.policies import policy_of
from support.set_clock import Clock

from edge_reid.agent.metrics import Counters
from edge_reid.agent.pipeline import Pipeline, Step
from edge_reid.agent.policy import PolicyHolder
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.geometry import Box
from edge_reid.core.types import Detection, Frame, GallerySnapshot, Hit, HitType, Image, Known
from edge_reid.matching.index import Index

MODEL = "0123456789abcdef"
LEFT, RIGHT = Box(100, 100, 160, 260), Box(400, 100, 460, 260)
STRIPES: Image = np.stack([np.indices((480, 640)).sum(0) // 3 % 2 * 200] * 3, -1).astype(np.uint8)
ANNA, ZOE = np.eye(4, dtype=np.float32)[:2]
LIKE_ANNA = np.asarray((ANNA + 0.5 * ZOE) / np.linalg.norm(ANNA + 0.5 * ZOE), np.float32)


class Street:
    """A detector, and an embedder that knows people by the place where they stand: whoever stands
    on the right half of the picture is dark in it.
    """

    manifest = SimpleNamespace(
        model_id=MODEL,
        genuine_quantiles=(),
        impostor_quantiles=(),
        impostor_quantiles_by_templates=(),
    )
    strong_score, weak_score = 0.5, 0.1

    def __init__(self) -> None:
        self.here = [LEFT]
        self.score = 0.9
        self.looks_like = {LEFT: ZOE}

    def detect(self, image: Image) -> tuple[Detection, ...]:
        return tuple(Detection(box, self.score) for box in self.here)

    def embed(self, crops: list[Image]) -> np.ndarray:
        right = [crop.mean() < 90 for crop in crops]
        return np.stack([self.looks_like[RIGHT if is_right else LEFT] for is_right in right])


def picture() -> Image:
    image = STRIPES.copy()
    image[:, 320:] //= 2
    return image


def gallery(version: int, **people: np.ndarray) -> Index:
    labels = np.arange(len(people), dtype=np.int32)
    vectors = np.stack(list(people.values()))
    return Index(GallerySnapshot(tuple(people), labels, vectors, MODEL, version))


class Camera:
    """A pipeline at ten frames a second, of which every one is looked at."""

    def __init__(
        self,
        street: Street,
        index: Index,
        folder: Path,
        *,
        closeups: TwiceAsLarge | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "camera": "gate",
                "gallery": folder / "gallery.db",
                "source": {"uri": "0"},
                "detect": {"rate_hz": 10, "motion_gate": False},
            }
        )
        self.policies = PolicyHolder(policy_of(index))
        self.pipeline = Pipeline(
            "gate",
            detector=street,  # type: ignore[arg-type]
            embedder=street,  # type: ignore[arg-type]
            policies=self.policies,
            settings=settings.cameras["gate"],
            closeups=closeups,
            decision_clock=clock,
        )
        self._frames = 0

    def watch(self, seconds: float) -> list[Hit]:
        hits: list[Hit] = []
        for _ in range(round(seconds * 10)):
            hits += self.pipeline.step(Frame(picture(), self._frames, self._frames / 10)).hits
            self._frames += 1
        return hits


def told(hits: list[Hit]) -> list[tuple[HitType, str | None]]:
    return [
        (hit.type, hit.decision.identity if isinstance(hit.decision, Known) else None)
        for hit in hits
    ]


@pytest.fixture
def street() -> Street:
    return Street()


def test_who_is_enrolled_while_standing_there_is_told_with_the_next_frame(
    street: Street, tmp_path: Path
) -> None:
    camera = Camera(street, gallery(1, anna=ANNA), tmp_path)
    assert told(camera.watch(10)) == [(HitType.NEW, None)]
    embedded = camera.pipeline.counters.embeddings
    camera.policies.swap(policy_of(gallery(2, anna=ANNA, zoe=ZOE)))
    hits = camera.watch(0.1)
    assert told(hits) == [(HitType.NEW, "zoe")]
    assert camera.pipeline.counters.embeddings == embedded, "nothing else was seen of her"
    assert hits[0].decided_utc_s == pytest.approx(10.0)


def test_who_stands_there_gets_the_name_that_somebody_else_has_left(
    street: Street, tmp_path: Path
) -> None:
    street.here = [LEFT, RIGHT]
    street.looks_like = {LEFT: ANNA, RIGHT: LIKE_ANNA}
    camera = Camera(street, gallery(1, anna=ANNA), tmp_path)
    assert told(camera.watch(10)) == [(HitType.NEW, "anna")]
    street.here = [RIGHT]
    assert told(camera.watch(5)) == [(HitType.END, "anna"), (HitType.NEW, "anna")]


class TwiceAsLarge:
    """A larger picture of the street, that notes of which frames it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def closeup(self, frame: Frame) -> TwiceAsLarge:
        self.asked.append(frame.captured_utc_s)
        return self

    def height_px(self, box: Box) -> float:
        return 2 * box.height

    def cut(self, box: Box) -> Image:
        image = picture()[round(box.y1) : round(box.y2), round(box.x1) : round(box.x2)]
        return np.ascontiguousarray(image.repeat(2, 0).repeat(2, 1))


def test_crops_are_cut_from_a_larger_picture_and_boxes_stay_those_of_the_frame(
    street: Street, tmp_path: Path
) -> None:
    large = TwiceAsLarge()
    street.score = 0.65  # not so clear that one look is enough
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path, closeups=large)
    (hit,) = camera.watch(5)
    counters = camera.pipeline.counters
    assert counters.enlarged == counters.embeddings > 0
    assert (hit.box, hit.frame_size_px) == (LEFT, (640, 480))
    assert min(large.asked) >= 0.1, "a track has to be confirmed first"


def test_somebody_is_there_when_the_detector_is_sure_or_a_track_goes_on(
    street: Street, tmp_path: Path
) -> None:
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path)
    street.score = 0.3
    camera.watch(1)
    assert not camera.pipeline.has_somebody, "a weak detection may be a lamp post for ever"
    street.score = 0.9
    camera.watch(1)
    assert camera.pipeline.has_somebody
    street.here = []
    camera.watch(0.5)
    assert camera.pipeline.has_somebody, "hidden for a moment"
    camera.watch(5)
    assert not camera.pipeline.has_somebody


def test_between_two_frames_no_picture_is_kept(street: Street, tmp_path: Path) -> None:
    """Six megabytes of 1080p, for each camera."""
    camera = Camera(street, gallery(1, anna=ANNA), tmp_path)
    camera.watch(1)
    image = picture()
    kept = weakref.ref(image)
    camera.pipeline.step(Frame(image, 10, 1.0))
    del image
    assert kept() is None
    assert camera.pipeline.finish().hits  # which needs no more than when it was taken


NEXT_TO_EACH_OTHER = [Box(262, 100, 322, 260), Box(330, 100, 390, 260)]


class MeasuredStreet(Street):
    """Of its embedder it was measured how alike people are, so looks tell who is who."""

    manifest = SimpleNamespace(
        model_id=MODEL,
        genuine_quantiles=((0.5, 0.7), (0.05, 0.4)),
        impostor_quantiles=((0.5, 0.1), (0.05, 0.3)),
        impostor_quantiles_by_templates=(),
    )

    def __init__(self) -> None:
        super().__init__()
        self.here = NEXT_TO_EACH_OTHER
        self.looks_like = {LEFT: ANNA, RIGHT: ZOE}
        self.heights_px: list[int] = []

    def embed(self, crops: list[Image]) -> np.ndarray:
        self.heights_px += [crop.shape[0] for crop in crops]
        return super().embed(crops)


def test_crops_that_only_tell_who_is_who_are_counted_and_timed_apart(tmp_path: Path) -> None:
    street = MeasuredStreet()
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path)
    camera.watch(5)
    counters, clock = camera.pipeline.counters, camera.pipeline.stages
    assert counters.embeddings == len(street.heights_px)
    assert counters.embeddings > counters.compared > 0
    kept = counters.embeddings - counters.compared
    assert kept == 10, "five crops of either"
    assert sum(clock.seconds["embed"].counts) >= counters.compared


def test_who_is_who_is_told_from_the_larger_picture_where_there_is_one(tmp_path: Path) -> None:
    street = MeasuredStreet()
    large = TwiceAsLarge()
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path, closeups=large)
    camera.watch(3)
    counters = camera.pipeline.counters
    assert counters.compared > 0
    assert set(street.heights_px) == {320}
    assert len(large.asked) == len(set(large.asked)), "once a frame"


def test_who_is_who_is_not_asked_while_crops_are_given_up(tmp_path: Path) -> None:
    street = MeasuredStreet()
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path)
    for number in range(20):
        camera.pipeline.look(Frame(picture(), number, number / 10), most_crops=1)
    assert camera.pipeline.counters.compared == 0
    assert camera.pipeline.counters.embeddings > 0


def test_who_is_small_in_the_frame_is_told_apart_by_the_larger_picture(tmp_path: Path) -> None:
    street = MeasuredStreet()
    street.here = [Box(280, 100, 295, 140), Box(322, 100, 337, 140)]
    camera = Camera(street, gallery(1, zoe=ZOE), tmp_path, closeups=TwiceAsLarge())
    camera.watch(5)
    assert camera.pipeline.counters.compared > 0
    assert set(street.heights_px) == {80}


class Crowd(MeasuredStreet):
    """Thirty people side by side, each half hidden by the next; to embed one of them takes time."""

    def __init__(self, clock: Clock, takes_s: float) -> None:
        super().__init__()
        self.here = [Box(20 * place, 100, 20 * place + 60, 260) for place in range(30)]
        self._clock = clock
        self._takes_s = takes_s

    def embed(self, crops: list[Image]) -> np.ndarray:
        self._clock.now_s += self._takes_s * len(crops)
        return super().embed(crops)


def looked_at(
    takes_s: float, promise_s: float | None, folder: Path
) -> tuple[list[Step], Counters, list[int]]:
    """Thirty looks at the crowd, each of a frame that was taken just then; and how many people each
    compared with tracks.
    """
    clock, steps, compared = Clock(), list[Step](), list[int]()
    camera = Camera(Crowd(clock, takes_s), gallery(1, zoe=ZOE), folder, clock=clock)
    counters = camera.pipeline.counters
    for number in range(30):
        clock.now_s = taken_s = 1000 + number / 5
        due_s = None if promise_s is None else taken_s + promise_s
        before = counters.compared
        steps.append(camera.pipeline.look(Frame(picture(), number, taken_s), due_utc_s=due_s))
        compared.append(counters.compared - before)
    return steps, counters, compared


def test_in_a_crowd_a_slow_device_compares_as_many_as_fit_into_half_of_the_promise(
    tmp_path: Path,
) -> None:
    steps, counters, compared = looked_at(0.053, 0.5, tmp_path)
    assert max(compared) == 4, "a quarter of a second"
    assert counters.uncompared == sum(step.uncompared for step in steps) > 0
    everybody = looked_at(0.053, None, tmp_path)[2]
    assert max(everybody) > 20, "a second and more"


@pytest.mark.parametrize("promise_s", [0.5, None])
def test_in_a_crowd_a_slow_device_decides_people_over_as_many_looks_as_it_takes(
    tmp_path: Path, promise_s: float | None
) -> None:
    clock, took_s, decided = Clock(), list[float](), set[int]()
    camera = Camera(Crowd(clock, 0.053), gallery(1, zoe=ZOE), tmp_path, clock=clock)
    for number in range(60):
        clock.now_s = taken_s = 1000 + number
        due_s = promise_s and taken_s + promise_s
        decided |= set(
            camera.pipeline.look(Frame(picture(), number, taken_s), due_utc_s=due_s).decisions
        )
        took_s.append(clock.now_s - taken_s)
    assert len(decided) == 29, "all but who stands at the edge of the picture"
    assert (max(took_s) <= 0.5) == (promise_s is not None)


def test_where_there_is_time_for_all_a_promise_changes_nothing(tmp_path: Path) -> None:
    bound, counted, compared = looked_at(0.004, 0.5, tmp_path)
    free = looked_at(0.004, None, tmp_path)[0]
    assert [step.tracks for step in bound] == [step.tracks for step in free]
    assert sum(compared) > 0
    assert counted.uncompared == 0
