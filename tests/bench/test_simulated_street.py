"""The simulated streets of the tracking bench are repeatable and leave work for a tracker."""

from support.simulated_street import SIZE_PX, STREETS, simulated_clip


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
