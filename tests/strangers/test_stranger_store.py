"""Unknown people on a device's disk: named once, known again, and gone when they are due."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.gallery_examples import DIMENSION, MODEL, OTHER_MODEL, template
from support.other_formats import of_a_newer_one
from support.stranger_examples import KEEP_S, looks, opened, visit

from edge_reid.cli.main import main
from edge_reid.core.anonymous_names import STRANGER_PATTERN
from edge_reid.core.errors import GalleryError
from edge_reid.enrolment.promotion import promote
from edge_reid.gallery.store import GalleryStore
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.index import Index
from edge_reid.matching.vectors import pack
from edge_reid.strangers import stranger_file
from edge_reid.strangers.stranger import PROMOTED, templates_of
from edge_reid.strangers.stranger_store import KEPT_LOOKS, StrangerStore
from edge_reid.web.stranger_facts import stranger_facts


def meet(store, seed, at_s=0.0, *, now_utc_s=None, max_people=100):
    now_utc_s = time.time() if now_utc_s is None else now_utc_s
    return store.meet(
        visit(seed, at_s), origin="lab/device", now_utc_s=now_utc_s, max_people=max_people
    )


def names(store):
    return [each.name for each in store.strangers()]


def on_disk(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "strangers.db"


@pytest.fixture
def store(path):
    with opened(path) as store:
        yield store


class TestNames:
    def test_they_are_of_one_form_and_counted(self, store):
        given = [meet(store, seed, at_s=7.5 + seed) for seed in range(3)]
        assert all(re.fullmatch(STRANGER_PATTERN, name) for name in given)
        assert [name.rsplit("-", 1)[1] for name in given] == ["1", "2", "3"]
        assert len({name.rsplit("-", 1)[0] for name in given}) == 1
        assert names(store) == given

    def test_the_same_first_visit_gives_the_same_name(self, tmp_path):
        given = set()
        for number in range(2):
            with opened(tmp_path / f"{number}.db") as store:
                given.add(meet(store, 1, at_s=100.0))
        assert len(given) == 1

    def test_another_device_or_another_beginning_gives_others(self, tmp_path):
        given = set()
        for number, (origin, at_s) in enumerate(
            [("lab/device", 0.0), ("lab/device-2", 0.0), ("lab/device", 60.0)]
        ):
            with opened(tmp_path / f"{number}.db") as store:
                given.add(store.meet(visit(1, at_s), origin=origin, now_utc_s=1e9, max_people=9))
        assert len(given) == 3

    def test_none_is_given_twice(self, path):
        with opened(path) as store:
            first = meet(store, 1)
            store.forget(first)
        with opened(path) as store:
            assert meet(store, 2) != first

    @pytest.mark.parametrize(
        "name", ["anon-3fa2c1-12", "ANON-3FA2C1-12", "ａnon-3fa2c1-0", " anon-3fa2c1-7 "]
    )
    def test_nobody_is_enrolled_under_such_a_name(self, tmp_path, name):
        with (
            GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as gallery,
            pytest.raises(GalleryError, match="got one like those of unknown people"),
        ):
            gallery.add(template(name))

    @pytest.mark.parametrize("name", ["anon", "anonymous-3", "unknown-12", "anon-zzzzzz-1"])
    def test_other_names_are_free(self, tmp_path, name):
        with GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as gallery:
            gallery.add(template(name))


class TestVisits:
    def test_what_is_told_comes_back(self, path):
        with opened(path) as store:
            name = meet(store, 1, at_s=100.0, now_utc_s=time.time())
        with StrangerStore.open(path) as store:
            (found,) = store.strangers()
            kept = store.looks(name)
        assert (found.name, found.camera, found.times_seen) == (name, "gate", 1)
        assert (found.first_seen_utc_s, found.last_seen_utc_s) == (100.0, 105.0)
        assert found.forgotten_utc_s == pytest.approx(time.time() + KEEP_S, abs=60)
        for came, went in zip(kept, looks(1), strict=True):
            np.testing.assert_array_equal(came.vector, went.vector)
            assert (came.quality, came.model_id) == (went.quality, MODEL)
        np.testing.assert_allclose(found.vector, mean_vector(looks(1), MODEL), atol=1e-6)

    def test_a_later_visit_is_added(self, store):
        name = meet(store, 1)
        assert store.meet_again(name, visit(1, 50.0, "door", salt=1), now_utc_s=time.time())
        (found,) = store.strangers()
        assert (found.times_seen, found.camera) == (2, "door")
        assert (found.first_seen_utc_s, found.last_seen_utc_s) == (0.0, 55.0)
        assert len(store.looks(name)) == 6
        expected = mean_vector([*looks(1), *looks(1, salt=1)], MODEL)
        np.testing.assert_allclose(found.vector, expected, atol=1e-6)

    def test_only_the_best_looks_are_kept(self, store, path):
        name = meet(store, 1)
        worst = looks(1)[-1].vector
        for number in range(6):
            better = visit(1, 10.0 * number, count=5, quality=0.9, salt=number)
            store.meet_again(name, better, now_utc_s=time.time())
        kept = store.looks(name)
        assert len(kept) == KEPT_LOOKS
        assert min(each.quality for each in kept) > 0.8
        store.purge(time.time())
        assert pack(worst) not in on_disk(path)

    def test_beyond_the_cap_the_longest_unseen_goes(self, store):
        now = time.time()
        first = meet(store, 1, now_utc_s=now, max_people=2)
        second = meet(store, 2, now_utc_s=now + 1, max_people=2)
        store.meet_again(first, visit(1, 20.0), now_utc_s=now + 2)
        third = meet(store, 3, now_utc_s=now + 3, max_people=2)
        assert names(store) == [first, third]
        assert not store.meet_again(second, visit(2, 30.0), now_utc_s=now + 4)

    def test_another_agent_sees_the_change(self, store, path):
        with opened(path) as other:
            before = other.edition
            assert other.edition == before
            name = meet(store, 1)
            assert other.edition != before
            assert names(other) == [name]

    def test_of_another_model_nobody_can_be_known(self, path):
        with opened(path) as store:
            before = meet(store, 1)
        with opened(path, OTHER_MODEL) as store:
            assert names(store) == []
            assert meet(store, 2) != before
        assert pack(looks(1)[0].vector) not in on_disk(path)


class TestForgetting:
    def test_whoever_is_due_is_gone_from_the_disk(self, path):
        now = time.time()
        with opened(path) as store:
            for seed in range(40):
                late = seed % 2
                meet(store, seed, now_utc_s=now - (0 if late else KEEP_S + 1))
        with StrangerStore.open(path) as store:
            assert len(names(store)) == 20
        found = on_disk(path)
        for seed in range(40):
            for each in looks(seed):
                assert (pack(each.vector) in found) == bool(seed % 2)

    def test_also_while_an_agent_runs(self, store, path):
        now = time.time()
        meet(store, 1, now_utc_s=now)
        store.purge(now + KEEP_S - 1)
        assert len(names(store)) == 1
        store.purge(now + KEEP_S)
        assert names(store) == []
        assert pack(looks(1)[0].vector) not in on_disk(path)

    def test_a_clock_that_was_set_back_keeps_nobody_for_longer(self, store):
        now = time.time()
        meet(store, 1, now_utc_s=now + 1e6)
        store.purge(now)
        store.purge(now + KEEP_S)
        assert names(store) == []

    def test_the_clock_of_the_video_forgets_nobody(self, store):
        meet(store, 1, at_s=0.0)  # a file that begins in 1970
        store.purge(time.time())
        assert len(names(store)) == 1

    def test_one_can_be_forgotten_at_once(self, store, path):
        first, second = meet(store, 1), meet(store, 2)
        store.forget(first)
        assert names(store) == [second]
        assert pack(looks(1)[0].vector) not in on_disk(path)
        with pytest.raises(GalleryError, match="nobody is called .* or they are forgotten"):
            store.forget(first)


class TestMerging:
    def test_two_become_one(self, store):
        now = time.time()
        first = store.meet(visit(1, 0.0), origin="x", now_utc_s=now, max_people=9)
        second = store.meet(visit(1, 50.0, "door", salt=1), origin="x", now_utc_s=now, max_people=9)
        store.merge(second, first)
        (found,) = store.strangers()
        assert (found.name, found.times_seen, found.camera) == (first, 2, "door")
        assert (found.first_seen_utc_s, found.last_seen_utc_s) == (0.0, 55.0)
        expected = mean_vector([*looks(1), *looks(1, salt=1)], MODEL)
        np.testing.assert_allclose(found.vector, expected, atol=1e-6)

    def test_not_of_one_alone(self, store):
        name = meet(store, 1)
        with pytest.raises(GalleryError, match="expected two people"):
            store.merge(name, name)
        with pytest.raises(GalleryError, match="nobody is called"):
            store.merge(name, "anon-000000-9")
        assert names(store) == [name]


class TestAnotherModel:
    """Another agent of the device starts with another model, while this one runs."""

    @pytest.fixture
    def overtaken(self, store, path):
        name = meet(store, 1)
        with opened(path, OTHER_MODEL) as other:
            assert names(other) == []
        return store, name

    def test_whoever_the_old_model_knew_is_forgotten(self, path, caplog):
        with opened(path) as store:
            meet(store, 1)
        with opened(path, OTHER_MODEL) as store, opened(path, OTHER_MODEL):
            assert names(store) == []
        (line,) = [it.getMessage() for it in caplog.records]
        assert "1 unknown person of embedding model" in line

    def test_nothing_of_the_old_model_gets_in_or_is_compared(self, overtaken, path):
        store, name = overtaken
        for attempt in (
            lambda: meet(store, 2),
            lambda: store.meet_again(name, visit(1, 50.0), now_utc_s=time.time()),
            lambda: store.merge(name, name),
            lambda: store.forget(name),
            store.strangers,
            lambda: store.looks(name),
            lambda: store.find(name),
        ):
            with pytest.raises(GalleryError, match=f"of model {MODEL}, got .* of {OTHER_MODEL}"):
                attempt()
        with StrangerStore.open(path) as other:
            assert names(other) == []

    def test_but_whoever_is_due_is_forgotten_by_either(self, overtaken, path):
        store, _ = overtaken
        now = time.time()
        with opened(path, OTHER_MODEL) as other:
            meet(other, 3, now_utc_s=now)
        store.purge(now + KEEP_S)
        with StrangerStore.open(path) as other:
            assert names(other) == []


def list_them(path: Path) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "strangers", "--strangers", str(path), "--json"])


def look_at_the_page(path: Path) -> None:
    with GalleryStore.create(path.with_name(f"{time.time_ns()}.db"), MODEL, DIMENSION) as gallery:
        nobody = Index(gallery.snapshot())
    assert len(stranger_facts(path, (), nobody)) == 1


@pytest.mark.parametrize("read", [list_them, look_at_the_page])
def test_who_only_reads_writes_nothing_and_waits_for_no_agent(path, store, read, monkeypatch):
    monkeypatch.setattr(stranger_file, "BUSY_TIMEOUT_S", 30.0)
    meet(store, 1)
    before = store.edition
    read(path)
    assert store.edition == before
    with closing(sqlite3.connect(path, isolation_level=None)) as agent:
        agent.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        read(path)
        assert time.monotonic() - began_s < 15.0
        agent.execute("ROLLBACK")


def test_what_was_opened_to_be_read_cannot_be_changed(path, store):
    name = meet(store, 1)
    with (
        StrangerStore.open_to_read(path) as reader,
        pytest.raises(GalleryError, match="cannot be written"),
    ):
        reader.forget(name)
    assert names(store) == [name]


def test_a_list_forgets_whoever_is_due(path, store):
    meet(store, 1, now_utc_s=time.time() - KEEP_S - 1.0)
    list_them(path)
    assert names(store) == []


def test_the_best_looks_become_templates_of_an_identity(store, tmp_path):
    name = meet(store, 1)
    store.meet_again(name, visit(1, 50.0, count=5, quality=0.9), now_utc_s=time.time())
    templates = templates_of(store.looks(name), "Anna", 55.0)
    assert len(templates) == PROMOTED
    assert min(each.quality for each in templates) > 0.8
    with GalleryStore.create(tmp_path / "gallery.db", MODEL, DIMENSION) as gallery:
        gallery.add_all(templates)
        assert gallery.identities()[0].identity == "Anna"


def test_who_is_seen_twice_in_the_same_picture_gets_a_name_all_the_same(store, tmp_path):
    """As of a clip that is shown over and over, and of a camera that stands still."""
    name = meet(store, 1)
    store.meet_again(name, visit(1, 50.0), now_utc_s=time.time())
    twin = meet(store, 1, 90.0)
    store.merge(twin, name)
    assert len(store.looks(name)) == 3
    path = tmp_path / "gallery.db"
    GalleryStore.create(path, MODEL, DIMENSION).close()
    assert promote(store, name, "Anna", path) == 3
    assert names(store) == []


def meet_many(store: StrangerStore) -> None:
    for seed in range(2, 60):
        meet(store, seed)


def is_about_strangers(error: GalleryError, path: Path) -> bool:
    """Whether a message names the file as one of strangers, and no gallery."""
    return f"{error}".startswith(f"strangers {path}: ") and "gallery" not in f"{error}"


class TestFile:
    def test_only_its_owner_may_read_it(self, store, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_missing(self, path):
        with pytest.raises(GalleryError, match="no such file; an agent makes it"):
            StrangerStore.open(path)
        assert not path.exists()

    def test_a_file_that_is_no_database_is_quarantined_when_an_agent_starts(self, path, caplog):
        path.write_bytes(b"my diary")
        with pytest.raises(GalleryError, match="got another kind of file"):
            StrangerStore.open(path)
        assert path.read_bytes() == b"my diary"
        with opened(path) as store:
            meet(store, 1)
        (file,) = path.parent.glob("strangers.db.unreadable-*")
        assert file.read_bytes() == b"my diary"
        assert f"it is kept as {file}" in caplog.text
        assert "delete it" in caplog.text

    @pytest.mark.parametrize("head_bytes", [16, 100, 4096])
    @pytest.mark.parametrize("logged", [False, True])
    def test_a_head_of_zeros_is_damage(self, path, head_bytes, logged):
        with opened(path) as store:
            meet(store, 1)
            if logged:
                log = path.with_name(path.name + "-wal")
                kept = log.read_bytes()
                assert kept
        if logged:
            log.write_bytes(kept)
        with path.open("r+b") as file:
            file.write(bytes(head_bytes))
        with pytest.raises(GalleryError, match="damaged or cut short"):
            StrangerStore.open(path)
        with opened(path) as store:
            assert names(store) == []
            meet(store, 2)
        assert [each.name for each in path.parent.iterdir()] == ["strangers.db"]
        assert pack(looks(1)[0].vector) not in on_disk(path)

    def test_an_empty_file_is_filled(self, path):
        path.touch()
        with pytest.raises(GalleryError, match="damaged or cut short"):
            StrangerStore.open(path)
        with opened(path) as store:
            meet(store, 1)
        with StrangerStore.open(path) as store:
            assert len(names(store)) == 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_folder_is_none(self, path):
        path.mkdir()
        for open_it in (opened, StrangerStore.open):
            with pytest.raises(GalleryError, match="cannot be read: Is a directory"):
                open_it(path)

    def test_where_nothing_can_be_made(self, tmp_path):
        with pytest.raises(GalleryError, match="cannot be created: No such file or directory"):
            opened(tmp_path / "nowhere" / "strangers.db")

    def test_a_gallery_is_left_alone(self, path):
        with GalleryStore.create(path, MODEL, DIMENSION) as gallery:
            gallery.add(template("Anna"))
        with pytest.raises(GalleryError, match="got another kind of file"):
            opened(path)
        with GalleryStore.open(path) as gallery:
            assert len(gallery.templates()) == 1

    def test_a_locked_one_is_named_as_what_it_is(self, path):
        with (
            opened(path) as store,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            store._db.execute("PRAGMA busy_timeout = 10")
            with pytest.raises(GalleryError, match="locked by another program") as caught:
                meet(store, 1)
        assert is_about_strangers(caught.value, path)

    def test_a_damaged_one_is_named_as_what_it_is(self, path):
        opened(path).close()
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(GalleryError, match="damaged or cut short") as caught:
            StrangerStore.open(path)
        assert is_about_strangers(caught.value, path)

    def test_a_full_disk_is_told_of_strangers(self, path):
        with opened(path) as store:
            meet(store, 1)
            store._db.execute("PRAGMA max_page_count = 1")  # no larger than it is now
            with pytest.raises(GalleryError, match="the disk is full") as caught:
                meet_many(store)
        assert is_about_strangers(caught.value, path)

    def test_where_none_can_be_made_is_told_of_strangers(self, tmp_path):
        path = tmp_path / "nowhere" / "strangers.db"
        with pytest.raises(GalleryError, match="cannot be created") as caught:
            opened(path)
        assert f"{caught.value}".startswith("strangers ")
        assert "gallery" not in f"{caught.value}"

    def test_a_reader_keeps_traces_and_is_told_of_strangers(self, path):
        with (
            opened(path) as store,
            closing(sqlite3.connect(path, isolation_level=None)) as reader,
        ):
            name = meet(store, 1)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM strangers").fetchone()
            store._db.execute("PRAGMA busy_timeout = 10")
            with pytest.raises(GalleryError, match="another program is reading|locked") as caught:
                store.forget(name)
        assert is_about_strangers(caught.value, path)

    def test_what_lay_beside_what_was_quarantined_goes_with_it(self, path):
        path.write_bytes(b"my diary")
        log = path.with_name(f"{path.name}-wal")
        log.write_bytes(b"its log")
        opened(path).close()
        quarantined = sorted(file.read_bytes() for file in path.parent.glob("*.unreadable-*"))
        assert quarantined == [b"its log", b"my diary"]

    def test_of_a_newer_edge_reid(self, path):
        opened(path).close()
        with closing(sqlite3.connect(path, isolation_level=None)) as future:
            of_a_newer_one(future, 9)
        with pytest.raises(GalleryError, match="expected format 1 or older, got 9"):
            opened(path)

    def test_a_damaged_one_is_replaced_when_an_agent_starts(self, path, caplog):
        with opened(path) as store:
            for seed in range(30):
                meet(store, seed)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        with opened(path) as store:
            assert names(store) == []
            meet(store, 1)
        assert "was damaged, and a new one is started" in caplog.text
        assert "restart" not in caplog.text, "it has just done so"
        with StrangerStore.open(path) as store:
            assert len(names(store)) == 1


KILLED = """
import sys, time
from pathlib import Path
from support.stranger_examples import opened, visit
with opened(Path(sys.argv[1])) as store:
    print("alive", flush=True)
    for number in range(100_000):
        name = store.meet(visit(number), origin="x", now_utc_s=time.time(), max_people=20)
        print(name, flush=True)
        store.meet_again(name, visit(number, 9.0), now_utc_s=time.time())
        store.purge(time.time())
"""


def test_killed_at_any_moment_it_is_whole_and_gives_no_name_twice(path):
    given: list[str] = []
    pauses = np.random.default_rng(0).uniform(0.0, 0.15, 8)
    here = Path(__file__).parents[1]
    for pause_s in pauses:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, path],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "alive\n"
            told = [process.stdout.readline().strip()]
            time.sleep(pause_s)
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().splitlines()
            given += [name for name in told if re.fullmatch(STRANGER_PATTERN, name)]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(set(given)) == len(given) >= len(pauses)
    with opened(path) as store:
        assert meet(store, 1) not in given
        for each in store.strangers():
            assert len(store.looks(each.name)) >= 3
