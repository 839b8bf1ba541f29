"""`edge-reid hits`: who was where and when, from every kind of store."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.decided_tracks import STRANGER, a_zone_event, an_event
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.outcome import Outcome

from edge_reid.cli.periods import moment_utc_s, period_s
from edge_reid.consumers.store_urls import open_store
from edge_reid.core.errors import UsageError
from edge_reid.core.types import HitType, ZoneChangeType
from edge_reid.wire.payloads import EventPayload

Command = Callable[..., Outcome]


def event(track: int, seq: int, **changes: object) -> EventPayload:
    kind = changes.pop("kind", HitType.NEW)
    decision = STRANGER if changes.pop("unknown", False) else an_event().hit.decision
    payload = an_event(track, decision, kind).payload(seq)  # type: ignore[arg-type]
    return payload.model_copy(update=changes)


ANA_NEW = event(1, 1)
ANA_END = event(1, 2, kind=HitType.END, decided_at="1970-01-01T00:00:05.000Z")
UNKNOWN = event(2, 3, unknown=True)
KNOWN_STRANGER = event(3, 4, unknown=True, stranger="anon-3fa2c1-12")
BEN = event(4, 5, identity="=ben()", camera="yard", event_id="b")
RENAMED = [
    event(7, 6, identity="ben", event_id="was"),
    event(7, 7, decided_at="1970-01-01T00:00:10.000Z"),
]
ALL = [ANA_NEW, ANA_END, UNKNOWN, KNOWN_STRANGER, BEN, *RENAMED]


@pytest.fixture(params=["lines", "sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    places = {"lines": f"{tmp_path}/e.jsonl", "sqlite": f"sqlite:///{tmp_path}/e.db"}
    is_postgres = request.param == "postgres"
    place = (
        request.getfixturevalue("postgres").new_place() if is_postgres else places[request.param]
    )
    store = open_store(place)
    store.write(ALL)
    store.close()
    return place


def test_every_store_answers_alike(
    edge_reid: Command,  # noqa: F811
    where: str,
) -> None:
    def found(*words: object) -> list[int]:
        outcome = edge_reid("hits", "--from", where, "--json", *words)
        assert outcome.code == 0, outcome.err
        return [json.loads(line)["seq"] for line in outcome.out.splitlines()]

    assert found() == [2, 5, 7]
    assert found("--all") == [3, 2, 4, 5, 7]
    assert found("--every-event") == [1, 2, 5, 6, 7]
    assert found("--who", "ana") == [2, 7]
    assert found("--who", "ben") == [], "that track was said to be somebody else in the end"
    assert found("--who", "ben", "--every-event") == [6]
    assert found("--who", "anon-3fa2c1-12") == [4]
    assert found("--camera", "yard") == [5]
    assert found("--site", "elsewhere") == []
    assert found("--since", "1970-01-01T00:00:06") == [5, 7]
    assert found("--since", "1970-01-01T00:00:04", "--until", "1970-01-01T00:00:06Z") == [2, 5]
    assert found("--since", "2h") == []
    assert found("--limit", 2) == [5, 7]


def test_what_is_read_back_is_what_was_stored(
    edge_reid: Command,  # noqa: F811
    where: str,
) -> None:
    lines = edge_reid("hits", "--from", where, "--json", "--all", "--every-event").out.splitlines()
    by_seq = sorted((json.loads(line) for line in lines), key=lambda line: line["seq"])
    assert by_seq == [json.loads(one.to_json()) for one in ALL]


def test_a_file_is_read_as_what_it_is(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/events")
    store.write(ALL)
    store.close()
    lines = edge_reid("hits", "--from", tmp_path / "events", "--json").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [2, 5, 7]


def test_people_get_a_table_and_spreadsheets_no_formula(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(one.to_json() + "\n" for one in ALL))
    lines = edge_reid("hits", "--from", file).out.splitlines()
    assert len(lines) == 1 + 3
    row = " ".join(lines[1].split())
    assert row == "1970-01-01 00:00:01 00:00:03 lab gate ana 0.81 ≥ 0.60 #1 end"
    rows = list(csv.DictReader(io.StringIO(edge_reid("hits", "--from", file, "--csv").out)))
    assert [row["identity"] for row in rows] == ["ana", "'=ben()", "ana"]
    assert (rows[0]["x1"], rows[0]["frame_width"], rows[0]["kind"]) == ("10.0", "768", "hit")


@pytest.mark.parametrize("where", ["lines"], indirect=True)
def test_a_name_in_another_spelling_is_said_to_be_looked_for_as_it_is(
    edge_reid: Command,  # noqa: F811
    where: str,
) -> None:
    said = "nobody: no event there is what was asked for"
    lost = edge_reid("hits", "--from", where, "--who", "Ana")
    assert (lost.code, lost.err) == (0, f"{said}; a name is written as it was enrolled\n")
    assert edge_reid("hits", "--from", where, "--camera", "attic").err == f"{said}\n"


def test_zones_are_shown_with_who_was_there(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "events.jsonl"
    crossed = a_zone_event(4, ZoneChangeType.CROSSED, "door").payload(9)
    zones = [a_zone_event(1).payload(8), a_zone_event(1, ZoneChangeType.LEFT).payload(9), crossed]
    in_yard = BEN.model_copy(update={"camera": "gate"})
    file.write_text("".join(one.to_json() + "\n" for one in (*ALL, in_yard, *zones)))
    shown = edge_reid("hits", "--from", file, "--zones")
    rows = [" ".join(line.split()) for line in shown.out.splitlines()[1:]]
    assert rows == [
        "1970-01-01 00:00:02 lab gate desk entered – ana #1",
        "1970-01-01 00:00:03 lab gate desk left 0:00:01 ana #1",
        "1970-01-01 00:00:05 lab gate door crossed in – =ben() #4",
    ]
    of_ana = edge_reid("hits", "--from", file, "--zones", "--who", "ana", "--json").out.splitlines()
    assert [json.loads(line) for line in of_ana] == [
        {**json.loads(one.to_json()), "who": "ana"} for one in zones[:2]
    ]
    cells = list(
        csv.DictReader(io.StringIO(edge_reid("hits", "--from", file, "--zones", "--csv").out))
    )
    assert [row["who"] for row in cells] == ["ana", "ana", "'=ben()"]
    assert (cells[2]["line"], cells[2]["zone"], cells[2]["direction"]) == ("door", "", "in")
    nobody = edge_reid("hits", "--from", file, "--zones", "--camera", "yard")
    assert (nobody.out, "nobody: no event" in nobody.err) == ("", True)
    plain = edge_reid("hits", "--from", file, "--json").out.splitlines()
    assert not any("zone/1" in line for line in plain), "they are no visits"


def test_zones_of_an_event_are_a_cell(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(event(1, 1, zones=("desk", "door")).to_json() + "\n")
    (row,) = csv.DictReader(io.StringIO(edge_reid("hits", "--from", file, "--csv").out))
    assert row["zones"] == "desk door"


def test_wrong_usage_is_said(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    def complaint(*words: object) -> str:
        return edge_reid("hits", "--from", *words).complaint

    assert "--from hits://x: expected sqlite:///FILE" in complaint("hits://x")
    assert "--from: should hold no password" in complaint("postgresql://me:s3cret@host/db")
    assert "none.db: cannot be read: No such file" in complaint(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    assert "none.jsonl: cannot be read: No such file" in complaint(tmp_path / "none.jsonl")
    assert "--zones: goes with neither" in complaint("-", "--zones", "--all")
    assert "--json, --csv: do not go together" in complaint("-", "--json", "--csv")
    assert "--since: expected a time" in complaint("-", "--since", "yesterday")


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30m", 1800), ("2h", 7200), ("90d", 90 * 86_400)]
)
def test_a_period_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert period_s("--keep", text) == seconds
    assert moment_utc_s("--since", text, 1e9) == 1e9 - seconds


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5h", "9999999d", "2 h", "١d"])
def test_what_is_no_period_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="expected a period such as 90d"):
        period_s("--keep", text)


def test_a_row_that_is_no_event_today_is_one_line(
    edge_reid: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Say another program's, or a later edge-reid's."""
    file = tmp_path / "e.db"
    store = open_store(f"sqlite:///{file}")
    store.write([ANA_NEW])
    store.close()
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE edge_reid_events SET track_id = -7")
    said = edge_reid("hits", "--from", f"sqlite:///{file}").complaint
    assert f"{file}: expected events as this edge-reid writes them, got a row" in said
    assert "track_id" in said
    assert "-7" in said


@pytest.mark.parametrize("where", ["sqlite:e.db", "sqlite://e.db", "sqlite:/e.db", "sqlite:///"])
def test_an_address_with_other_slashes_is_refused(
    edge_reid: Command,  # noqa: F811
    where: str,
) -> None:
    said = edge_reid("hits", "--from", where).complaint
    assert f"--from {where}: expected sqlite:///FILE" in said
    with pytest.raises(UsageError, match="--to sqlite"):
        open_store(where)
