"""What the page says of somebody in view, and of a camera."""

from __future__ import annotations

import pytest

from edge_reid.core.config.decide_settings import DecideSettings
from edge_reid.core.types import Candidate, Decision, Known, Uncertain, Unknown
from edge_reid.web.page_status import person_line

RULES = DecideSettings(min_margin=0.05)


@pytest.mark.parametrize(
    ("decision", "kind", "slight_margin"),
    [
        (Known("anna", 0.9, 0.6, 0.2, 3), "known", None),
        (Unknown(0.3, 0.6, 3), "unknown", None),
        (Uncertain(Candidate("anna", 0.9), 0.6, 0.01, 3), "undecided", 0.01),
        (Uncertain(Candidate("anna", 0.9), 0.6, 0.3, 1), "undecided", None),
        (Uncertain(Candidate("anna", 0.9), 0.6, None, 1), "undecided", None),
    ],
)
def test_who_is_undecided_as_two_are_alike_says_so(
    decision: Decision, kind: str, slight_margin: float | None
) -> None:
    line = person_line(7, {7: decision}, RULES)
    assert (line.track_id, line.kind, line.slight_margin) == (7, kind, slight_margin)


def test_who_has_no_decision_yet_is_undecided() -> None:
    line = person_line(7, {}, RULES)
    assert (line.kind, line.similarity, line.slight_margin) == ("undecided", None, None)
