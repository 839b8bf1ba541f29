"""Figures of a camera, counted by hand for scenes small enough to count."""

from __future__ import annotations

from typing import Any

import pytest

from edge_reid.scoring.ground_truth import GroundTruth, LabelledPerson, LabelledVisit
from edge_reid.scoring.scorer import score_events
from edge_reid.wire.events import rfc3339
from edge_reid.wire.payloads import EventPayload, HitPayload, UnknownPayload

FPS = 10.0
LEFT, RIGHT, AWAY = (0.0, 0.0, 40.0, 100.0), (200.0, 0.0, 240.0, 100.0), (400.0, 0.0, 440.0, 100.0)
BoxRow = tuple[float, float, float, float]


def visit(first: int, last: int, box: BoxRow | None = None) -> LabelledVisit:
    rows = tuple((frame, *box) for frame in range(first, last + 1, 5)) if box else ()
    return LabelledVisit(first_frame=first, last_frame=last, boxes=rows)


def person(name: str, *visits: LabelledVisit, **more: Any) -> LabelledPerson:
    return LabelledPerson(identity=name, visits=visits, **more)


def truth(*people: LabelledPerson) -> GroundTruth:
    return GroundTruth(frames=600, fps=FPS, people=people)


_count = iter(range(1, 10_000))


def event(
    track: int, frame: int, name: str | None, box: BoxRow, *, decided: int | None = None
) -> EventPayload:
    kind = HitPayload if name else UnknownPayload
    number = next(_count)
    at = rfc3339(frame / FPS)
    return kind(
        event_id=str(number),
        seq=number,
        type="new",
        site="lab",
        agent="gate-1",
        camera="gate",
        track_id=track,
        identity=name,
        similarity=0.8,
        threshold=0.6,
        margin=None,
        crops=3,
        captured_at=at,
        decided_at=rfc3339((frame if decided is None else decided) / FPS),
        first_seen=rfc3339(0),
        last_seen=at,
        box=box,
        frame_size=(640, 480),
        model_id="0123456789abcdef",
        gallery_version=1,
        replayed=False,
    )


TWO = truth(person("anna", visit(100, 200, LEFT)), person("ben", visit(100, 200, RIGHT)))


def test_everybody_named_rightly() -> None:
    card = score_events(
        [event(1, 120, "anna", LEFT, decided=125), event(2, 130, "ben", RIGHT, decided=140)], TWO
    )
    assert (card.precision, card.recall, card.hits_right) == (1.0, 1.0, 2)
    assert (card.missed_visits, card.wrong_names_per_hour, card.id_switches) == ((), 0.0, 0)
    assert [score.delay_s for score in card.visits] == [2.5, 4.0]
    assert (card.delay_median_s, card.delay_max_s) == (3.25, 4.0)


def test_a_wrong_name_is_counted_by_the_hour_and_shown() -> None:
    card = score_events([event(1, 120, "ben", LEFT), event(2, 130, "ben", RIGHT)], TWO)
    assert (card.hits_right, card.hits_wrong, card.precision, card.recall) == (1, 1, 0.5, 0.5)
    assert card.wrong_names_per_hour == pytest.approx(60.0)  # one in a minute
    (wrong,) = card.wrong_names
    assert (wrong.track_id, wrong.said, wrong.shown, wrong.frame) == (1, "ben", "anna", 120)
    assert [score.identity for score in card.missed_visits] == ["anna"]


def taken_back(hit: EventPayload, frame: int) -> EventPayload:
    """The correction of a hit."""
    number, at = next(_count), rfc3339(frame / FPS)
    fields = {"type": "correction", "corrects": hit.event_id, "decided_at": at}
    return hit.model_copy(update={**fields, "event_id": str(number), "seq": number})


def test_a_name_that_is_taken_back_is_not_what_a_track_was_called_in_the_end() -> None:
    right = event(1, 110, "anna", LEFT)
    unsaid = score_events([right, taken_back(right, 150)], TWO)
    assert (unsaid.tracks_named_right, unsaid.tracks_of_enrolled, unsaid.hits_right) == (0, 1, 1)
    wrong = event(1, 110, "ben", LEFT)
    mended = [wrong, taken_back(wrong, 150), event(1, 150, "anna", LEFT)]
    assert score_events(mended, TWO).tracks_named_right == 1
    assert score_events([taken_back(right, 150)], TWO).tracks_of_enrolled == 0


def test_a_name_that_is_corrected_is_one_wrong_and_one_right_hit() -> None:
    told = [event(1, 110, "ben", LEFT), event(1, 130, "anna", LEFT), event(1, 180, "anna", LEFT)]
    card = score_events(told, TWO)
    assert (card.hits_right, card.hits_wrong, card.recall) == (1, 1, 1.0)


def test_a_name_said_while_that_person_is_away_is_wrong_wherever_it_points() -> None:
    card = score_events([event(1, 400, "anna", AWAY)], TWO)
    assert (card.hits_wrong, card.wrong_names[0].shown) == (1, None)


def test_a_box_without_a_label_is_unclear_while_that_person_is_in_view() -> None:
    card = score_events([event(1, 120, "anna", AWAY)], TWO)
    assert (card.hits_unclear, card.hits_wrong, card.precision) == (1, 0, None)


def test_without_boxes_the_time_alone_is_compared() -> None:
    timed = truth(person("anna", visit(100, 200)))
    card = score_events([event(1, 120, "anna", AWAY), event(2, 300, "anna", AWAY)], timed)
    assert (card.hits_right, card.hits_wrong, card.missed_visits) == (1, 1, ())


def test_somebody_not_enrolled_who_is_named_is_counted() -> None:
    labels = truth(person("anna", visit(100, 200, LEFT)), person("x", visit(100, 200, RIGHT)))
    told = [event(1, 120, "anna", RIGHT), event(2, 130, None, RIGHT)]
    card = score_events(told, labels, enrolled={"anna"})
    assert (card.unknowns_named, card.tracks_of_others, card.hits_wrong) == (1, 2, 1)
    flagged = truth(labels.people[0], person("x", visit(100, 200, RIGHT), enrolled=False))
    assert score_events(told, flagged) == card


def test_a_visit_that_photos_were_enrolled_from_is_no_test() -> None:
    photo = {"frame": 110, "box": LEFT}
    labels = truth(
        person("anna", visit(100, 200, LEFT), visit(300, 400, LEFT), enrol=(photo,)),
        person("ben", visit(100, 200, RIGHT)),
    )
    told = [event(1, 120, "anna", LEFT), event(2, 320, "anna", LEFT), event(3, 150, "anna", RIGHT)]
    card = score_events(told, labels)
    assert (card.hits_right, card.hits_at_enrolment, card.hits_wrong) == (1, 1, 1)
    assert [(v.identity, v.first_frame, v.delay_s) for v in card.visits] == [
        ("anna", 300, 2.0),
        ("ben", 100, None),
    ]
    assert (card.tracks_of_enrolled, card.tracks_named_right) == (2, 1)


def test_a_person_told_by_another_track_is_an_id_switch() -> None:
    told = [
        *(event(1, 110, "anna", LEFT), event(1, 130, "anna", LEFT)),
        *(event(2, 150, "anna", LEFT), event(3, 120, "ben", RIGHT)),
    ]
    assert score_events(told, TWO).id_switches == 1


def test_a_track_that_continues_another_is_no_id_switch() -> None:
    again = event(2, 150, "anna", LEFT).model_copy(update={"continues": 1})
    assert score_events([event(1, 110, "anna", LEFT), again], TWO).id_switches == 0


def test_a_track_that_goes_over_to_another_person_is_mixed_and_switches_both() -> None:
    told = [
        *(event(1, 110, "anna", LEFT), event(1, 150, "anna", RIGHT)),
        *(event(2, 110, "ben", RIGHT), event(2, 150, "ben", LEFT)),
    ]
    card = score_events(told, TWO)
    assert (card.tracks_mixed, card.id_switches) == (2, 2)


def test_between_two_labels_a_person_moves_evenly() -> None:
    moving = LabelledVisit(
        first_frame=100,
        last_frame=110,
        boxes=((100, 0.0, 0.0, 40.0, 100.0), (110, 200.0, 0.0, 240.0, 100.0)),
    )
    halfway = event(1, 105, "anna", (100.0, 0.0, 140.0, 100.0))
    assert score_events([halfway], truth(person("anna", moving))).hits_right == 1
    late = event(1, 105, "anna", LEFT)
    assert score_events([late], truth(person("anna", moving))).hits_unclear == 1


def test_nothing_to_count_is_no_share() -> None:
    card = score_events([event(1, 120, None, AWAY)], truth(person("x", enrolled=False)))
    assert (card.precision, card.recall, card.delay_median_s) == (None, None, None)


@pytest.mark.parametrize("frame", [-3, 600, 640])
def test_what_was_seen_beside_the_recording_is_not_scored(frame: int) -> None:
    """A camera that is live goes on, and nobody has said who was there before and after."""
    inside = event(1, 120, "anna", LEFT)
    card = score_events([inside, event(2, frame, "ben", RIGHT, decided=max(frame, 0))], TWO)
    assert (card.hits_right, card.hits_wrong, card.wrong_names) == (1, 0, ())
    assert card.precision == 1.0


@pytest.mark.parametrize(("after_s", "right"), [(0.9, 1), (1.4, 1), (1.6, 0)])
def test_the_last_second_that_is_labelled_by_the_clock_is_a_whole_one(
    after_s: float, right: int
) -> None:
    by_clock = GroundTruth(frames=90, fps=1, people=(person("anna", visit(10, 25)),))
    card = score_events([event(1, round((25 + after_s) * FPS), "anna", LEFT)], by_clock)
    assert (card.hits_right, card.hits_wrong) == (right, 1 - right)
