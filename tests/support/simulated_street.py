"""Streets that only exist as boxes: as many clips for a tracker as are wanted, with perfect truth.

People walk, in pairs too, stop, turn back, and hide each other and behind pillars. What a detector
would see of them follows from how much of them shows: half-hidden people are found less often, with
lower scores, and with boxes of what shows. Errors of a box last for some frames, as real ones do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from support.tracking_clips import TrackingClip

from edge_reid.core.geometry import Box, iou
from edge_reid.core.types import Detection

FPS = 10
SIZE_PX = (768, 576)
LEAST_LABELLED = 0.25
"""Of a person that shows; who shows less is neither right nor wrong."""
_SAME_BOX_IOU = 0.55
_CELLS = (12, 8)
"""Rows and columns into which a person is cut to see how much shows."""


@dataclass(frozen=True)
class Street:
    """A place, and how people walk there. Lengths in pixels, speeds in heights per second."""

    name: str
    horizon_px: float
    height_per_px: float
    """Of a person, by how far the feet are below the horizon."""
    far_px: float
    near_px: float
    """Where feet are."""
    arrivals_per_s: float
    pair_share: float
    stop_share: float
    pillars: tuple[tuple[float, float], ...] = ()
    """(left, width) of each."""
    turn_share: float = 0.15
    speed: float = 0.75
    box_noise: float = 0.035
    """Of a height."""
    miss_share: float = 0.04


STREETS = (
    Street("street", 110, 0.42, 260, 540, 0.35, 0.35, 0.2, ((300, 60),)),
    Street("square", 60, 0.30, 200, 560, 0.6, 0.5, 0.35),
    Street(
        "corridor",
        *(180, 0.62, 330, 560, 0.22, 0.3, 0.15),
        pillars=((150, 40), (520, 40)),
        speed=0.85,
        box_noise=0.05,
        miss_share=0.1,
    ),
)


@dataclass
class _Walker:
    boxes: dict[int, Box]
    """By frame."""
    error: np.ndarray = field(default_factory=lambda: np.zeros(4))
    """Of its detected box, in standard deviations; changes slowly."""
    doubt: float = 0.0


def simulated_clip(street: Street, seed: int, seconds: int = 40) -> TrackingClip:
    """The same for the same seed."""
    return simulate(street, seed, seconds)[0]


def simulate(
    street: Street, seed: int, seconds: int = 40
) -> tuple[TrackingClip, list[dict[int, Box]]]:
    """The clip, and by walker and frame the whole box of everybody, hidden or not."""
    random = np.random.default_rng([seed, *street.name.encode()])
    walkers = _walkers(street, random, seconds)
    frames = seconds * FPS
    labels: list[dict[int, Box]] = [{} for _ in range(frames)]
    ignored: list[list[Box]] = [[] for _ in range(frames)]
    detections = []
    for frame in range(frames):
        shown = _shown(street, walkers, frame)
        for number, (box, cells) in shown.items():
            inside = box.clipped(*SIZE_PX)
            if cells.mean() >= LEAST_LABELLED:
                labels[frame][number] = inside
            else:
                ignored[frame].append(inside)
        found = [
            _detect(street, random, walkers[number], *there) for number, there in shown.items()
        ]
        detections.append(_suppressed([one for one in found if one is not None]))
    clip = TrackingClip(f"{street.name} {seed}", FPS, SIZE_PX, detections, labels, ignored)
    return clip, [walker.boxes for walker in walkers]


def _walkers(street: Street, random: np.random.Generator, seconds: int) -> list[_Walker]:
    walkers, arrival_s = [], -15.0
    while arrival_s < seconds:
        arrival_s += random.exponential(1 / street.arrivals_per_s)
        feet_px, direction = random.uniform(street.far_px, street.near_px), random.choice([-1, 1])
        speed, plan = street.speed * random.lognormal(0, 0.2), random.random()
        event_s = random.uniform(1, 6)
        event = (event_s, event_s + random.uniform(2, 8))
        for place in range(2 if random.random() < street.pair_share else 1):
            start = (-direction * place * random.uniform(0, 40), place * random.normal(0, 6))
            edge_px = -40 if direction > 0 else SIZE_PX[0] + 40
            way = _way(street, random, direction * speed, plan, event)
            boxes = _boxes(street, random, (edge_px + start[0], feet_px + start[1]), way)
            first = int(np.ceil(arrival_s * FPS))
            walkers.append(
                _Walker(
                    {
                        first + step: box
                        for step, box in enumerate(boxes)
                        if 0 <= first + step < seconds * FPS
                    }
                )
            )
    return walkers


def _way(
    street: Street,
    random: np.random.Generator,
    speed: float,
    plan: float,
    event_s: tuple[float, float],
) -> np.ndarray:
    """(steps, 2) velocity in heights per second; who stops or turns back does so at the event."""
    seconds = np.arange(60 * FPS) / FPS
    way = np.full((len(seconds), 2), (speed, 0.06 * random.normal()))
    if plan < street.stop_share:
        way[(seconds > event_s[0]) & (seconds < event_s[1])] = 0
    elif plan < street.stop_share + street.turn_share:
        way[seconds > event_s[0], 0] *= -1
    sway, spread = np.zeros(2), np.array([0.12, 0.06]) / np.sqrt(FPS)
    for step in range(len(way)):
        sway = (1 - 1 / FPS) * sway + spread * random.normal(size=2)
        way[step] += sway if way[step].any() else 0
    return way


def _boxes(
    street: Street, random: np.random.Generator, start: tuple[float, float], way: np.ndarray
) -> list[Box]:
    """Until out of the picture."""
    (x, feet), boxes = start, []
    slim, tall = random.uniform(0.34, 0.44), random.normal(1, 0.06)
    for step, (right, down) in enumerate(way):
        height = street.height_per_px * (feet - street.horizon_px) * tall
        x, feet = x + right * height / FPS, feet + 0.4 * down * height / FPS
        feet = float(np.clip(feet, street.far_px - 20, street.near_px + 20))
        if not -60 <= x <= SIZE_PX[0] + 60:
            break
        width = height * slim * (1 + 0.12 * np.sin(1.1 * step + 50 * tall))
        boxes.append(Box(x - width / 2, feet - height, x + width / 2, feet))
    return boxes


def _shown(street: Street, walkers: list[_Walker], frame: int) -> dict[int, tuple[Box, np.ndarray]]:
    """By number, whole box and which of its cells show, of everybody partly in the picture."""
    here = [(walker.boxes[frame], n) for n, walker in enumerate(walkers) if frame in walker.boxes]
    behind = (street.near_px + street.far_px) / 2 + 20
    shown, before = {}, list[Box]()
    for box, number in sorted(here, key=lambda one: -one[0].y2):
        posts = [Box(left, 0, left + width, box.y2) for left, width in street.pillars]
        hiding = before + (posts if box.y2 < behind else [])
        if min(box.x2, SIZE_PX[0]) - max(box.x1, 0) > 4:
            shown[number] = (box, _cells(box, hiding))
        margin = 0.15 * box.width
        before.append(Box(box.x1 + margin, box.y1 + 0.03 * box.height, box.x2 - margin, box.y2))
    return shown


def _cells(box: Box, hiding: list[Box]) -> np.ndarray:
    rows, columns = ((np.arange(count) + 0.5) / count for count in _CELLS)
    x, y = np.meshgrid(box.x1 + columns * box.width, box.y1 + rows * box.height)
    shows = (x > 0) & (x < SIZE_PX[0]) & (y < SIZE_PX[1])
    for other in hiding:
        shows &= ~((x > other.x1) & (x < other.x2) & (y > other.y1) & (y < other.y2))
    return np.asarray(shows)


def _detect(
    street: Street, random: np.random.Generator, walker: _Walker, box: Box, cells: np.ndarray
) -> Detection | None:
    walker.error = 0.7 * walker.error + np.sqrt(1 - 0.49) * random.normal(size=4)
    walker.doubt = 0.8 * walker.doubt + 0.6 * random.normal()
    share, is_missed = cells.mean(), random.random() < street.miss_share
    if is_missed or share < 0.12 or 9 * (share - 0.38) + 1.2 * walker.doubt < 0:
        return None
    score = 1 / (1 + np.exp(-(4.2 * (share - 0.55) + 0.6 * walker.doubt + 0.2)))
    whole = box.to_array()
    believed = 0.6 if share > 0.5 else 0.3
    edges = believed * whole + (1 - believed) * _part(box, cells)
    noise = street.box_noise * box.height * (1 + 1.5 * (1 - share)) * np.array([0.7, 0.8, 0.7, 1.0])
    x1, y1, x2, y2 = np.clip(edges + walker.error * noise, 0, [*SIZE_PX, *SIZE_PX]).tolist()
    if x2 - x1 < 5 or y2 - y1 < 10:
        return None
    return Detection(Box(x1, y1, x2, y2), float(np.clip(score, 0.31, 0.97)))


def _part(box: Box, cells: np.ndarray) -> np.ndarray:
    """Edges of what shows."""
    rows, columns = np.nonzero(cells)
    x, y = box.width / _CELLS[1], box.height / _CELLS[0]
    return np.array(
        [
            box.x1 + columns.min() * x,
            box.y1 + rows.min() * y,
            box.x1 + (columns.max() + 1) * x,
            box.y1 + (rows.max() + 1) * y,
        ]
    )


def _suppressed(found: list[Detection]) -> tuple[Detection, ...]:
    """Of boxes that lie over each other, the surest."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda each: -each.score):
        if all(iou(one.box, other.box) < _SAME_BOX_IOU for other in kept):
            kept.append(one)
    return tuple(kept)
