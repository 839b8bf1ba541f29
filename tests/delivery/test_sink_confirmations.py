"""What waits for a sink, what is sent again, and what no sink wants."""

from __future__ import annotations

import logging

import pytest
from support.decided_tracks import ADDRESS
from support.set_clock import Clock

from edge_reid.delivery.sink_confirmations import SinkConfirmations
from edge_reid.mqtt.message import Received
from edge_reid.wire.payloads import EventsStored

RESEND_S = 30.0


def stored(*event_ids: str) -> Received:
    body = EventsStored(site="lab", agent="gate-1", event_ids=event_ids).to_json().encode()
    return Received(ADDRESS.agent_stored, body, retained=False)


def test_an_event_waits_until_a_sink_names_it_under_all_its_numbers() -> None:
    waiting = SinkConfirmations(RESEND_S, Clock(0.0))
    for event_id, seq in (("a", 1), ("b", 2), ("a", 3)):
        waiting.expect(event_id, seq)
    assert (len(waiting), waiting.seqs) == (2, {1, 2, 3})
    waiting.hear(stored("a", "of another agent", "a"))
    assert waiting.take_confirmed() == [1, 3]
    assert waiting.take_confirmed() == []
    assert waiting.seqs == {2}
    waiting.forget("b")
    assert not waiting


def test_what_no_sink_names_is_to_be_sent_again_after_a_while() -> None:
    clock = Clock(0.0)
    waiting = SinkConfirmations(RESEND_S, clock)
    waiting.expect("a", 1)
    clock.now_s = RESEND_S
    assert not waiting.give_up_when_due()
    clock.now_s += 0.1
    waiting.expect("b", 2)  # the oldest decides for all
    assert waiting.give_up_when_due()
    assert not waiting
    assert waiting.are_missing
    assert not waiting.give_up_when_due(), "nothing waits now"


def test_what_was_sent_twice_in_vain_while_others_are_confirmed_is_unwanted() -> None:
    clock = Clock(0.0)
    waiting = SinkConfirmations(RESEND_S, clock)
    for _ in range(2):
        waiting.expect("unwanted", 1)
        clock.now_s += RESEND_S + 1
        assert waiting.give_up_when_due()
    waiting.expect("unwanted", 1)
    waiting.expect("wanted", 2)
    waiting.hear(stored("wanted"))
    assert waiting.take_confirmed() == [2]
    assert waiting.take_unwanted() == [], "a sink may still be about to name it"
    clock.now_s += RESEND_S / 2 + 1
    assert waiting.take_unwanted() == [1]
    assert not waiting


def test_what_names_no_events_is_skipped_and_said(caplog: pytest.LogCaptureFixture) -> None:
    waiting = SinkConfirmations(RESEND_S, Clock(0.0))
    waiting.expect("a", 1)
    with caplog.at_level(logging.WARNING):
        waiting.hear(Received(ADDRESS.agent_stored, b"{}", retained=False))
    assert "skipped what names no stored events" in caplog.text
    assert waiting.take_confirmed() == []
