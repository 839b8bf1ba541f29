"""The simulated streets of the tracking bench are repeatable and leave work for a tracker."""

import numpy as np
from support.dressed_street import dressed_clip
from support.simulated_street import SIZE_PX, STREETS, simulate, simulated_clip

BEFORE_PILLARS_PX = 425


def test_a_seed_is_a_clip() -> None:
    first, again, other = (simulated_clip(STREETS[0], seed, seconds=5) for seed in (1, 1, 2))
    assert first == again
    assert first.detections != other.detections


def test_people_hide_each_other_and_boxes_stay_in_the_picture() -> None:
    clip = simulated_clip(STREETS[1], 1, seconds=10)
    boxes = [one.box for found in clip.detections for one in found]
    assert sum(map(len, clip.labels)) > len(boxes) > 0.7 * sum(map(len, clip.labels))
    assert any(clip.ignored), "nobody is hidden"
    assert any(one.score < 0.5 for found in clip.detections for one in found)
    assert all(box == box.clipped(*SIZE_PX) for box in boxes)


def test_people_of_a_dressed_street_wear_their_looks_where_they_are_labelled() -> None:
    people = [[np.full((64, 32, 3), shade, np.uint8)] for shade in range(0, 250, 10)]
    clip, frames = dressed_clip(STREETS[0], 1, people, seconds=30)
    plain, walkers = simulate(STREETS[0], 1, seconds=30)
    assert clip == plain
    worn: dict[int, set[int]] = {}
    for number, (labels, frame) in enumerate(zip(clip.labels, frames, strict=True)):
        here = {who: boxes[number] for who, boxes in enumerate(walkers) if number in boxes}
        nearest = max(here, key=lambda who: here[who].y2, default=0)  # nobody hides them
        is_whole = labels.get(nearest) == here.get(nearest)  # not cut off at an edge
        if is_whole and here and here[nearest].y2 > BEFORE_PILLARS_PX:
            x, y = labels[nearest].centre
            worn.setdefault(nearest, set()).add(int(frame[int(y), int(x), 0]))
    assert len(worn) > 2
    assert all(len(shades) == 1 for shades in worn.values())
    assert len(set.union(*worn.values())) == len(worn)
