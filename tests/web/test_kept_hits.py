"""Hits and crops on disk: only if wanted, for nobody else's eyes, bounded, and gone with the
person.
"""

from __future__ import annotations

import resource
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.set_clock import Clock

from edge_reid.core.types import Candidate, GallerySnapshot, HitType, Known, Unknown
from edge_reid.matching.index import Index
from edge_reid.web import kept_hits
from edge_reid.web.hit_naming import RenamedHits
from edge_reid.web.hit_record import HitCrop, HitRecord
from edge_reid.web.kept_hits import KeptHits, forget_kept

DAY_S = 86_400.0


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hits-device"


def kept_in(folder: Path, clock: Clock, max_bytes: int = 1 << 20) -> KeptHits:
    return KeptHits(folder, keep_s=DAY_S, max_bytes=max_bytes, clock=clock)


def picture(seed: int, size: int = 2000) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def record(
    number: int,
    identity: str | None = "anna",
    near: str = "ben",
    similarity: float = 0.8,
    **more: object,
) -> HitRecord:
    known = Known(identity, similarity, 0.7, 0.1, 3) if identity else None
    crops = (
        HitCrop(picture(10 * number), 0.9, Candidate(near, 0.5), is_shown=True),
        HitCrop(picture(10 * number + 1), 0.6, None, is_shown=False),
    )
    fields = {
        "number": number,
        "camera": "gate",
        "track_id": number,
        "kind": HitType.NEW,
        "decision": known or Unknown(0.4, 0.7, 3),
        "captured_utc_s": 1_800_000_000.0,
        "zones": ("door",),
        "crops": crops,
        "nearest": (Candidate(identity or near, 0.8), Candidate(near, 0.5)),
        "threshold_source": "fixed",
        "min_margin": 0.05,
        "gallery_version": 3,
        "model_id": "0" * 16,
        "received_s": 5.0,
    }
    return HitRecord(**(fields | more))  # type: ignore[arg-type]


def keep(kept: KeptHits, one: HitRecord, before: HitRecord | None = None) -> HitRecord:
    named = kept.named(one, before)
    kept.keep(named)
    return named


def enrolled(*names: str, version: int = 1) -> Index:
    vectors, labels = np.eye(4, dtype=np.float32)[: len(names)], np.arange(len(names))
    return Index(GallerySnapshot(names, labels.astype(np.int32), vectors, "m", version))


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_a_hit_is_there_after_a_restart_for_its_owner_only(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    unknown = keep(kept, record(2, None))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    clock.now_s += 60
    again = kept_in(folder, clock)
    newest, first = again.stems
    assert again.hit(newest) == unknown.without_crops()
    assert again.hit(first).decision == record(1).decision  # type: ignore[union-attr]
    assert again.jpeg(unknown.crops[1].file or "") == picture(21)
    keep(again, record(1))
    assert len(again.stems) == 3, "another run numbers its own"


def test_a_newer_hit_of_a_track_takes_the_place_of_the_one_before(
    folder: Path, clock: Clock
) -> None:
    kept = kept_in(folder, clock)
    first = keep(kept, record(1))
    best, second = first.crops
    aged = replace(best, jpeg=None, file=None), HitCrop(picture(99), 0.5, None, is_shown=False)
    newer = keep(kept, record(1, kind=HitType.END, crops=aged), first)
    assert len(kept.stems) == 1
    assert kept.jpeg(newer.crops[0].file or "") == picture(10), "it is in no memory any more"
    assert kept.jpeg(newer.crops[1].file or "") == picture(99)
    assert kept.jpeg(second.file or "") is None
    assert picture(11) not in bytes_in(folder)


def test_what_is_too_old_goes(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    clock.now_s += DAY_S / 2
    keep(kept, record(2))
    clock.now_s += DAY_S / 2 + 1
    kept.age()
    assert len(kept.stems) == 1
    clock.now_s += DAY_S
    kept_in(folder, clock)
    assert list(folder.iterdir()) == [], "also while no agent ran"


def test_what_is_too_much_goes_the_oldest_first(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock, max_bytes=16_000)
    for number in range(1, 11):
        keep(kept, record(number))
        total = sum(path.stat().st_size for path in folder.iterdir())
        assert total <= 16_000
    assert [stem[-6:] for stem in kept.stems] == ["000010", "000009", "000008"]


def test_who_is_removed_goes_with_their_pictures_and_their_name_in_others(
    folder: Path, clock: Clock
) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    keep(kept, record(2, "ben", near="anna"))
    kept.forget_gone(enrolled("anna", "ben"))
    assert len(kept.stems) == 2
    kept.forget_gone(enrolled("ben"))
    (stem,) = kept.stems
    found = kept.hit(stem)
    assert found is not None
    assert found.names == {"ben"}
    left = bytes_in(folder)
    assert b"anna" not in left
    assert picture(10) not in left
    assert picture(20) in left
    kept.forget_gone(enrolled())
    assert list(folder.iterdir()) == []


def test_a_person_keeps_their_hits_under_another_name(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    kept.rename("anna", "annie", 2)
    kept.forget_gone(enrolled("anna", "ben"))
    assert len(kept.stems) == 1, "the agent has not read the gallery anew yet"
    kept.forget_gone(enrolled("annie", "ben", version=2))
    found = kept.hit(kept.stems[0])
    assert found is not None
    assert found.names == {"annie", "ben"}
    assert b'"anna"' not in bytes_in(folder)


def test_a_hit_that_was_on_its_way_is_kept_under_the_new_name(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    on_its_way = kept.named(record(1, gallery_version=1), None)
    kept.rename("anna", "annie", 2)
    kept.keep(on_its_way)
    kept.keep(kept.named(record(2, gallery_version=2), None))
    assert named_in(kept) == ["annie", "anna"], "somebody else may have the name by now"


def test_two_people_who_were_merged_by_mistake_have_their_own_hits_again(
    folder: Path, clock: Clock
) -> None:
    kept = kept_in(folder, clock)
    of_anna = keep(kept, record(1, near="ben"))
    of_ben = keep(kept, record(2, "ben", near="anna"))
    updated = keep(kept, record(3))
    merged = kept.rename("anna", "ben", 2)
    assert named_in(kept) == ["ben", "ben", "ben"]
    keep(kept, record(3, "ben", similarity=0.9), updated)
    clock.now_s += 5
    kept.take_names_back(RenamedHits("anna", "ben", {}, merged), 3)
    kept.forget_gone(enrolled("ben", version=2))
    assert named_in(kept) == ["anna", "ben", "ben"], "what was decided of both stays"
    assert [kept.hit(stem).naming for stem in sorted(kept.stems)[:2]] == [
        of_anna.naming,
        of_ben.naming,
    ]
    clock.now_s += DAY_S - 5
    kept.age()
    assert kept.stems == (), "no longer than they would have been kept"


def named_in(kept: KeptHits) -> list[str]:
    """Who it is, by the number of the hit."""
    found = [kept.hit(stem) for stem in sorted(kept.stems)]
    return [hit.decision.identity for hit in found if hit and isinstance(hit.decision, Known)]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00" * 100),
        lambda path: path.write_text('{"kept_utc_s": 1, "record": {}}'),
        lambda path: path.write_text(path.read_text().replace(".jpg", "/../../secret")),
        lambda path: path.write_text(path.read_text().replace("hit-18", "../hit-18")),
    ],
)
def test_what_was_cut_off_or_forged_is_deleted(folder: Path, clock: Clock, spoil) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    spoil(next(folder.glob("*.json")))
    other = folder / "of-somebody-else.jpg"
    other.write_bytes(b"stays")
    again = kept_in(folder, clock)
    assert again.stems == ()
    assert list(folder.iterdir()) == [other]


def test_only_files_of_hits_are_handed_out(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    (folder.parent / "secret").write_text("secret")
    (folder / "other.jpg").write_text("secret")
    for name in ("../secret", "other.jpg", "", ".", "/etc/passwd", f"{kept.stems[0]}.json"):
        assert kept.jpeg(name) is None
    assert kept.hit("../secret") is None


def test_a_full_disk_costs_the_pictures_alone(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_hits, "SPARE_BYTES", 1 << 62)
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    keep(kept, record(2))
    assert list(folder.iterdir()) == []
    assert caplog.text.count("are left on the disk") == 1, "once: a full disk has no room for logs"


def test_a_full_disk_keeps_nobody_who_was_removed(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1, "ben", near="anna"))
    keep(kept, record(2))
    keep(kept, record(3, "ben", near="cleo"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        kept.forget_gone(enrolled("ben", "cleo"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert b"anna" not in bytes_in(folder)
    assert [kept.hit(stem).names for stem in kept.stems] == [{"ben", "cleo"}]  # type: ignore[union-attr]


def test_a_long_run_knows_its_millionth_hit_again(folder: Path, clock: Clock) -> None:
    keep(kept_in(folder, clock), record(1_000_000))
    clock.now_s += DAY_S + 1
    kept_in(folder, clock)
    assert list(folder.iterdir()) == [], "too old, so it goes"


def test_forgetting_deletes_ours_and_nothing_else(folder: Path, clock: Clock) -> None:
    kept = kept_in(folder, clock)
    keep(kept, record(1))
    (folder / ".hit-1800000000-000001.json.77.part").write_bytes(b"a power cut left it")
    (folder / "notes.txt").write_text("stays")
    forget_kept(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    forget_kept(folder.parent / "nothing there")
    keep(kept, record(2))
    kept.clear()
    assert kept.stems == ()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
