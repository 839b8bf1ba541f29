"""What devices make of what others say of strangers, without a broker and with clocks of ours."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import ExitStack, closing

import pytest
from support.decided_tracks import MODEL_ID
from support.set_clock import Clock
from support.shared_stranger_examples import signed_stranger
from support.sharing_device import MANIFEST, QUANTILES, look
from support.two_views import MemoryDevice, MemorySite, exchanged

from edge_reid.agent import stranger_exchange
from edge_reid.core.anonymous_names import precedes
from edge_reid.core.errors import GalleryError
from edge_reid.core.types import Embedding
from edge_reid.matching.threshold import threshold_for
from edge_reid.mqtt.message import Message
from edge_reid.strangers.name_merging import merged_names
from edge_reid.strangers.stranger import Visit
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.wire.shared_strangers import CLOCKS_S

BEGAN_S = time.time()  # certificates hold from now on
HOUR_S = 3600.0
NAME = "anon-aaaaaa-7"
DOOR_TOPIC = f"edge-reid/lab/agents/door-1/strangers/{NAME}"


def clock_of(ahead_s: float = 0.0) -> Clock:
    """Of a device, as wrong as it is set."""
    return Clock(BEGAN_S + ahead_s)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(stranger_exchange, "SETTLE_S", 0.0)
    monkeypatch.setattr(stranger_exchange, "TURN_S", 0.0)
    monkeypatch.setattr(stranger_exchange, "PURGE_INTERVAL_S", 0.0)


@pytest.fixture
def site(tmp_path):
    return MemorySite(tmp_path, ("gate-1", "yard-1", "door-1"))


@pytest.fixture
def device(site):
    """Makes devices, each with a clock of its own."""
    with ExitStack() as stack:
        yield lambda agent, **settings: stack.enter_context(
            MemoryDevice(site, agent, MANIFEST, **settings)
        )


def said(site, topic_end):
    """What was ever published on topics that end so, the bodies."""
    return [it.text for it in site.transport.published if it.topic.endswith(topic_end)]


class TestNames:
    def test_three_devices_call_somebody_the_same(self, device):
        gate, yard, door = map(device, ("gate-1", "yard-1", "door-1"))
        name = gate.sees(look(1))
        exchanged(gate, yard, door)
        assert yard.sees(look(1, towards=1)) == name
        exchanged(gate, yard, door)
        assert door.sees(look(1, towards=2)) == name
        assert gate.names == yard.names == door.names == [name]

    def test_of_three_names_for_somebody_the_least_stays(self, device):
        devices = [device(agent) for agent in ("gate-1", "yard-1", "door-1")]
        given = [each.sees(look(1, towards=number)) for number, each in enumerate(devices)]
        exchanged(*devices)
        least = min(given, key=lambda name: [precedes(name, other) for other in given].count(False))
        assert [each.names for each in devices] == 3 * [[least]]

    def test_a_track_in_view_keeps_the_name_that_was_told(self, device):
        gate, yard = device("gate-1"), device("yard-1")
        given = gate.sees(look(1)), yard.sees(look(1, towards=1))
        exchanged(gate, yard)
        loser, before = (gate, given[0]) if precedes(given[1], given[0]) else (yard, given[1])
        loser.recogniser._told[99] = before  # at its `new`, before the two heard of one another
        loser._tracks = 98
        assert loser.sees(look(1, towards=2), ago_s=1.0) == before
        (present,) = loser.own.strangers()
        assert present.name != before
        assert present.times_seen == 2  # and it counts for the present name

    def test_a_name_from_others_changes_as_theirs_does(self, site, device):
        gate, yard, door = map(device, ("gate-1", "yard-1", "door-1"))
        name = yard.sees(look(1))
        exchanged(yard, door)
        assert door.sees(look(1, 0.8, 1)) == name
        lesser = f"anon-000000-{len(name)}"
        assert yard.own.rename(name, lesser)  # as it does when it hears of one that is lesser
        yard.heard.rename(name, lesser, yard.clock() + HOUR_S)
        exchanged(yard, door)
        assert door.names == [lesser]
        assert gate.names == []

    def test_two_people_are_two(self, device):
        gate, yard = device("gate-1"), device("yard-1")
        gate.sees(look(1))
        exchanged(gate, yard)
        assert yard.sees(look(2)) not in {None, *gate.names}

    def test_a_threshold_of_its_own_for_people_of_others(self, device):
        """A look that is too unlike for this device's own people is near enough for theirs."""
        faint = look(1, (threshold_for(QUANTILES, 0.002, 1) - 0.02) / 0.97, 3)
        alone = device("door-1", share_target_fpir=0.05)
        first = alone.sees(look(1))
        assert alone.sees(faint, ago_s=30.0) != first
        gate, yard = device("gate-1"), device("yard-1", share_target_fpir=0.05)
        name = gate.sees(look(1))
        exchanged(gate, yard)
        assert yard.sees(faint) == name

    def test_a_name_that_somebody_gets_meanwhile_is_no_other_name_of_whom_was_to_have_it(
        self, device, monkeypatch
    ):
        """The camera's thread names somebody while the exchange's compares: they are two."""
        gate, yard = device("gate-1"), device("yard-1")
        names = gate.sees(look(1)), yard.sees(look(1, towards=1))
        renamed, other = (yard, gate) if precedes(*names) else (gate, yard)
        (before,), (theirs,) = renamed.names, other.names
        now = renamed.clock()
        somebody = Visit("gate", now - 5.0, now, (Embedding(look(2), MODEL_ID, 0.6),))

        def named_meanwhile(*people, **options):
            merged = merged_names(*people, **options)
            if merged.taken:
                renamed.own.meet(somebody, origin="lab", now_utc_s=now, max_people=9, named=theirs)
            return merged

        monkeypatch.setattr(stranger_exchange, "merged_names", named_meanwhile)
        exchanged(other, renamed)
        assert renamed.names == [before, theirs]
        assert renamed.heard.renamed() == {}
        assert renamed.heard.present_names([theirs]) == {theirs}

    def test_whom_a_device_has_seen_as_two_others_cannot_join(self, device):
        gate, yard = device("gate-1"), device("yard-1", share_target_fpir=0.2)
        yard.sees(look(1))
        two = gate.sees(look(1, 0.8, 1)), gate.sees(look(1, 0.7, 2))
        assert two[0] != two[1]
        exchanged(gate, yard)
        assert len(set(gate.names)) == 2


class TestWhatIsBelieved:
    @pytest.mark.parametrize(
        ("claim", "reason"),
        [
            ({"at": "2099-01-01T00:00:00.000Z"}, "expected what was written by now"),
            ({"expires_at": "2020-01-01T00:00:00.000Z"}, "expected what holds still"),
            ({"vector": "AAAA"}, "expected a vector of 64 numbers, got 3"),
            ({"vector": 84 * "A" + "AA=="}, "expected a vector with a direction"),
            ({"edition": 0}, "has signed what is no SharedStranger"),
            ({"model_id": 16 * "f"}, "expected embeddings of model 0123456789abcdef"),
            ({"stranger": "Anna"}, "has signed what is no SharedStranger"),
            ({"agent": "gate-1"}, "it says something else than its topic"),
        ],
    )
    def test_what_is_signed_and_wrong_is_refused(self, site, device, caplog, claim, reason):
        yard = device("yard-1")
        body = signed_stranger(site.key("door-1"), "door-1", NAME, **claim)
        with caplog.at_level(logging.WARNING):
            site.transport.publish(Message(DOOR_TOPIC, body, retain=True))
            exchanged(yard)
        assert yard.others == set()
        assert yard.exchange.state.refused == 1
        assert reason in caplog.text

    def test_what_is_right_is_taken(self, site, device):
        yard = device("yard-1")
        body = signed_stranger(site.key("door-1"), "door-1", NAME)
        site.transport.publish(Message(DOOR_TOPIC, body, retain=True))
        exchanged(yard)
        assert yard.others == {NAME}
        assert yard.exchange.state.refused == 0


class TestTime:
    def test_nobody_is_kept_longer_than_here(self, device):
        gate = device("gate-1", clock=clock_of(), keep_s=24 * HOUR_S)
        yard = device("yard-1", clock=clock_of(), keep_s=HOUR_S)
        gate.sees(look(1), ago_s=100.0)
        exchanged(gate, yard)
        (person,) = yard.heard.people()
        assert person.forgotten_utc_s == pytest.approx(BEGAN_S + HOUR_S - 100.0, abs=1.0)

    def test_a_clock_that_is_far_ahead_is_not_believed(self, device, caplog):
        gate = device("gate-1", clock=clock_of(ahead_s=CLOCKS_S + 10))
        yard = device("yard-1", clock=clock_of())
        gate.sees(look(1))
        with caplog.at_level(logging.WARNING):
            exchanged(gate, yard)
        assert yard.others == set()
        assert yard.exchange.state.refused == 1
        assert "expected what was written by now" in caplog.text

    def test_a_little_ahead_is_no_matter(self, device):
        gate = device("gate-1", clock=clock_of(ahead_s=CLOCKS_S - 10))
        yard = device("yard-1", clock=clock_of())
        name = gate.sees(look(1))
        exchanged(gate, yard)
        assert yard.others == {name}

    def test_when_its_clock_is_set_a_device_says_all_anew(self, site, device):
        clock = clock_of(ahead_s=-HOUR_S)
        gate = device("gate-1", clock=clock, keep_s=2 * HOUR_S)
        name = gate.sees(look(1))
        exchanged(gate)
        assert len(said(site, name)) == 1
        clock.now_s += HOUR_S
        assert not gate.turn()  # this connection is over
        gate.begin()
        exchanged(gate)
        assert len(said(site, name)) == 2

    def test_who_is_due_is_forgotten_by_the_clock_of_who_hears(self, device):
        clock = clock_of()
        gate = device("gate-1", clock=clock_of(), keep_s=HOUR_S)
        yard = device("yard-1", clock=clock, keep_s=24 * HOUR_S)
        gate.sees(look(1), ago_s=0.0)
        exchanged(gate, yard)
        clock.now_s += HOUR_S - 10
        yard.exchange.look_after_files()
        assert len(yard.others) == 1
        clock.now_s += 20
        yard.exchange.look_after_files()  # whether or not there is a broker
        assert yard.others == set()
        assert yard.heard.people() == ()

    def test_news_that_cannot_be_kept_keeps_nobody(self, site, device):
        clock = clock_of()
        gate = device("gate-1", clock=clock_of(), keep_s=HOUR_S)
        yard = device("yard-1", clock=clock)
        gate.sees(look(1), ago_s=0.0)
        exchanged(gate, yard)
        with closing(sqlite3.connect(yard.heard.path)) as file:
            file.execute(
                "CREATE TRIGGER no_more BEFORE INSERT ON heard "
                "BEGIN SELECT RAISE(ABORT, 'nobody else'); END"
            )
        clock.now_s += HOUR_S + 10
        late = "2099-01-01T00:00:00.000Z"
        body = signed_stranger(site.key("door-1"), "door-1", NAME, expires_at=late, last_seen=late)
        site.transport.publish(Message(DOOR_TOPIC, body, retain=True))
        with pytest.raises(GalleryError, match="nobody else"):
            exchanged(yard)
        assert yard.heard.people() == ()

    def test_what_does_not_expire_at_the_broker_is_refused_and_swept(self, site, device):
        """As with MQTT 3.1.1. Two hours later the gate is back, and somebody else new."""
        clock = clock_of()
        gate = device("gate-1", clock=clock, keep_s=HOUR_S)
        name = gate.sees(look(1))
        exchanged(gate)
        yard = device("yard-1", clock=clock_of(ahead_s=2 * HOUR_S))
        exchanged(yard)
        assert yard.others == set()
        assert yard.exchange.state.refused == 1
        clock.now_s += 2 * HOUR_S
        gate.turn()
        gate.begin()
        exchanged(gate)
        assert said(site, name)[-1] == ""


class TestBounds:
    def test_who_floods_loses_its_own(self, device):
        flooder, gate = device("door-1"), device("gate-1")
        yard = device("yard-1", max_people=5)
        name = gate.sees(look(0))
        exchanged(gate, yard)
        for person in range(1, 20):
            flooder.sees(look(person), ago_s=100.0 - person)
        exchanged(flooder, yard)
        assert len(yard.others) == 5
        assert name in yard.others

    def test_no_more_messages_wait_than_may(self, site, device, monkeypatch):
        from edge_reid.agent import incoming_strangers

        monkeypatch.setattr(incoming_strangers, "WAITING_MAX", 10)
        yard = device("yard-1")
        for number in range(30):
            topic = f"edge-reid/lab/agents/door-1/strangers/anon-aaaaaa-{number + 1}"
            site.transport.publish(Message(topic, "no message at all", retain=True))
        exchanged(yard)
        assert yard.exchange.state.refused == 30
        assert yard.others == set()


class TestErasure:
    def test_a_name_from_before_finds_somebody_for_as_long_as_they_are_there(self, device):
        clocks = [clock_of(), clock_of()]
        agents = ("gate-1", "yard-1")
        gate, yard = devices = [
            device(agent, clock=clock, keep_s=HOUR_S)
            for agent, clock in zip(agents, clocks, strict=True)
        ]
        given = gate.sees(look(1)), yard.sees(look(1, towards=1))
        exchanged(gate, yard)
        (present,) = gate.names
        renamed, before = (gate, given[0]) if given[0] != present else (yard, given[1])
        for _ in range(3):  # they come again and again
            for clock in clocks:
                clock.now_s += HOUR_S / 2
            assert renamed.sees(look(1, towards=2)) == present
            exchanged(*devices)
        assert renamed.heard.present_names([before]) == {before, present}
        for clock in clocks:
            clock.now_s += HOUR_S
        renamed.turn()
        assert renamed.heard.present_names([before]) == {before}  # nor is a name kept longer

    def test_a_name_from_before_finds_them_also_where_it_could_not_be_noted_at_first(self, device):
        """A full disk, say. Nobody bears a name of which no erasure by the former one knows."""
        gate, yard = device("gate-1"), device("yard-1")
        given = gate.sees(look(1)), yard.sees(look(1, towards=1))
        is_gates = precedes(given[1], given[0])
        renamed, before, present = (gate, *given) if is_gates else (yard, *reversed(given))
        with closing(sqlite3.connect(renamed.heard.path, isolation_level=None)) as file:
            file.execute(
                "CREATE TRIGGER no_more BEFORE INSERT ON former_names "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
            with pytest.raises(GalleryError, match="no room"):
                exchanged(gate, yard)
            file.execute("DROP TRIGGER no_more")
        exchanged(gate, yard)
        assert renamed.names == [present]
        assert renamed.heard.present_names([before]) == {before, present}

    def test_no_frame_waits_where_another_program_writes_to_what_others_have_told(
        self, device, monkeypatch
    ):
        gate, yard = device("gate-1"), device("yard-1")
        names = gate.sees(look(1)), yard.sees(look(1, towards=1))
        renamed, present = (yard, names[0]) if precedes(*names) else (gate, names[1])
        now = renamed.clock()
        somebody = Visit("gate", now - 5.0, now, (Embedding(look(2), MODEL_ID, 0.6),))
        said: list[str] = []

        def meet() -> None:
            with StrangerStore.open(renamed.own.path, forgets=False) as own:
                time.sleep(0.2)
                said.append(own.meet(somebody, origin="lab", now_utc_s=now, max_people=9))

        frames = threading.Thread(target=meet)
        with closing(sqlite3.connect(renamed.heard.path, isolation_level=None)) as file:

            def busy_meanwhile(*people, **options):
                merged = merged_names(*people, **options)
                if merged.taken and frames.ident is None:
                    file.execute("BEGIN IMMEDIATE")
                    frames.start()
                return merged

            monkeypatch.setattr(stranger_exchange, "merged_names", busy_meanwhile)
            with pytest.raises(GalleryError, match="locked"):
                exchanged(gate, yard)
            frames.join()
            assert len(said) == 1
            file.execute("COMMIT")
        exchanged(gate, yard)
        assert set(renamed.names) == {present, *said}

    def test_who_was_recognised_while_being_erased_is_forgotten_too(self, site, device):
        gate, yard = device("gate-1"), device("yard-1")
        name = gate.sees(look(1))
        exchanged(gate, yard)
        before = yard.exchange.others  # as the thread of the frames may still have it
        yard.heard.erase(frozenset({name}), BEGAN_S)
        yard.exchange.look_after_files()
        yard.exchange.others = before
        assert yard.sees(look(1, towards=1)) == name
        yard.turn(2)
        assert yard.names == []


class TestMergedByHand:
    """`gallery merge`, or the page, on a device that shares."""

    def test_an_erasure_by_the_name_that_is_gone_finds_them_everywhere(self, device):
        gate, yard = device("gate-1"), device("yard-1")
        stays, gone = gate.sees(look(1)), gate.sees(look(2), ago_s=30.0)
        exchanged(gate, yard)
        with StrangerStore.open(gate.own.path) as merging:
            merging.merge(gone, stays)
        exchanged(gate, yard)
        both = frozenset({stays, gone})
        assert gate.heard.present_names([gone]) == yard.heard.present_names([gone]) == both

    def test_a_track_in_view_counts_for_the_name_that_stays(self, device):
        gate, yard = device("gate-1"), device("yard-1")
        stays, gone = gate.sees(look(1)), gate.sees(look(2), ago_s=30.0)
        gate.recogniser._told[99] = gone
        gate._tracks = 98
        with StrangerStore.open(gate.own.path) as merging:
            merging.merge(gone, stays)
        exchanged(gate, yard)
        assert gate.sees(look(2), ago_s=1.0) == gone
        (present,) = gate.own.strangers()
        assert (present.name, present.times_seen) == (stays, 3)

    def test_whoever_was_not_merged_has_no_other_name(self, device):
        gate = device("gate-1")
        name = gate.sees(look(1))
        for into in (name, "anon-000000-9"):
            with pytest.raises(GalleryError):
                gate.own.merge(name, into)
        assert gate.heard.renamed() == {}


class TestWhatLiesThere:
    def test_what_an_earlier_start_has_left_is_cleared(self, site, device):
        topic = "edge-reid/lab/agents/gate-1/strangers/anon-aaaaaa-7"
        site.transport.publish(Message(topic, "of a file that is no more", retain=True))
        gate = device("gate-1")
        exchanged(gate)
        assert said(site, "anon-aaaaaa-7")[-1] == ""
        assert gate.exchange.state.shared == 0

    def test_nothing_is_said_twice(self, site, device):
        gate = device("gate-1")
        name = gate.sees(look(1))
        exchanged(gate, times=5)
        gate.begin()
        exchanged(gate, times=5)
        assert len(said(site, name)) == 1

    def test_no_picture_and_as_few_bytes_as_do(self, site, device):
        gate = device("gate-1")
        name = gate.sees(look(1))
        exchanged(gate)
        (body,) = said(site, name)
        _, _, content = body.partition(b"\n")[2].partition(b"\n")
        assert len(content) < 600
        assert len(body) < 2000
