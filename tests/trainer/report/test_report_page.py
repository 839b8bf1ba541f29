"""The page that `edge-reid report` writes: complete, self-contained, and safe to open."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.small_runs import draw_people  # noqa: E402

from edge_reid.core.bundled_models import EMBEDDING, shipped_model  # noqa: E402
from edge_reid.core.errors import EdgeReidError, UsageError  # noqa: E402
from edge_reid.matching.threshold import threshold_for  # noqa: E402
from trainer.report.curves import read_training_curves  # noqa: E402
from trainer.report.lists import ranked_lists  # noqa: E402
from trainer.report.report_words import write_report  # noqa: E402
from trainer.report.subjects import ReportSubject, read_subjects  # noqa: E402
from trainer.report.tables import summarise_data, threshold_rows  # noqa: E402
from trainer.scoring.data_refs import split_of  # noqa: E402
from trainer.scoring.evaluate import read_split  # noqa: E402

MODEL = shipped_model(EMBEDDING)
HOSTILE = "<script>alert(1)"


@dataclass
class Opened(HTMLParser):
    """What a browser would make of a page."""

    html: str
    tags: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [named["id"]] if named.get("id") else []
        self.addresses += [named[a] for a in ("src", "href", "data", "action") if named.get(a)]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def compared(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run beside the shipped model, on people whose data set has a hostile name."""
    place = tmp_path_factory.mktemp("compared")
    people = draw_people(place / HOSTILE, identities=8)
    write_report([trained, MODEL], [people], place / "report.html")
    return place / "report.html"


@pytest.fixture(scope="module")
def opened(compared: Path) -> Opened:
    return Opened(compared.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_anywhere(opened: Opened) -> None:
    assert opened.addresses
    assert all(a.startswith(("data:image/", "#")) for a in opened.addresses)
    assert "http://" not in opened.html
    assert "https://" not in opened.html
    assert "@import" not in opened.html
    assert not {"script", "link", "iframe", "object"} & set(opened.tags)


def test_every_section_and_figure_is_there(compared: Path, opened: Opened) -> None:
    sections = ["scores", "models", "data", "ranking", "verification", "thresholds", "agreed"]
    assert {*sections, "training", "embeddings", "lists"} <= set(opened.ids)
    figures = {"cmc", "roc", "det", "similarities", "agreement", "training-1", "map"}
    assert figures <= set(opened.ids)
    written = {file.stem for file in compared.with_name("report_figures").glob("*.png")}
    assert written == figures
    # Every anchor of the contents and every part of a figure leads to one place.
    assert len(opened.ids) == len(set(opened.ids))
    assert {a[1:] for a in opened.addresses if a.startswith("#")} <= set(opened.ids)


def test_names_are_shown_and_not_run(opened: Opened) -> None:
    assert HOSTILE in opened.text
    assert "alert(1)" not in opened.html.replace("&lt;script&gt;alert(1)", "")


def test_pictures_come_with_a_warning_and_can_be_left_out(opened: Opened, tmp_path: Path) -> None:
    assert "img" in opened.tags
    assert "contains pictures of people" in opened.text
    write_report([MODEL], [draw_people(tmp_path / "p", 4, 4)], tmp_path / "r.html", pictures=False)
    without = Opened((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "img" not in without.tags
    assert "contains pictures of people" not in without.text


def test_people_without_cameras_and_without_curves(tmp_path: Path) -> None:
    for person, file in enumerate(sorted(draw_people(tmp_path / "flat", 4, 4).iterdir())):
        folder = tmp_path / "people" / f"<i>{person // 4}"
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
    write_report([MODEL], [tmp_path / "people"], tmp_path / "r.html")
    page = Opened((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "the cross-camera rule is left out" in page.text
    assert "not known" in page.text
    assert "<i>0" in page.text
    assert "i" not in page.tags
    assert "training" not in page.ids


def test_a_single_query(tmp_path: Path) -> None:
    pictures = sorted(draw_people(tmp_path / "all", 3, 4).iterdir())
    for folder, files in (("query", pictures[:1]), ("bounding_box_test", pictures[1:])):
        (tmp_path / "one" / folder).mkdir(parents=True)
        for file in files:
            shutil.copy(file, tmp_path / "one" / folder)
    write_report([MODEL], [tmp_path / "one"], tmp_path / "r.html")
    page = Opened((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "1 queries against 11 pictures" in page.text
    assert page.html.count('class="ranked"') == 1


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> ReportSubject:
    people = draw_people(tmp_path_factory.mktemp("scored") / "people", 10, 4)
    (read,) = read_subjects([MODEL], [split_of(people)])
    return read


def test_the_lists_are_those_of_lowest_and_highest_precision(subject: ReportSubject) -> None:
    (report,) = subject.reports
    lists = ranked_lists(report)
    best_of: dict[int, float] = {}
    for label, value in zip(report.query.labels, report.ranking.average_precisions, strict=True):
        best_of[int(label)] = min(value, best_of.get(int(label), 1.0))
    shown = [each.average_precision for each in lists.worst]
    assert shown == sorted(best_of.values())[: len(shown)]
    assert {each.query.name for each in lists.worst}.isdisjoint(
        each.query.name for each in lists.best
    )
    head = lists.best[0]
    similarities = [shot.similarity for shot in head.found]
    assert similarities == sorted(similarities, reverse=True)
    assert [shot.right for shot in head.found] == [
        shot.identity == head.query.identity for shot in head.found
    ]


def test_thresholds_are_counted_on_the_people_shown(subject: ReportSubject) -> None:
    (report,) = subject.reports
    data, crops = report.split.data, report.crops
    ten = threshold_rows(subject, 0.01)[0]
    assert ten.similarity == threshold_for(subject.quantiles, 0.01, 10)
    below = []
    for label in np.unique(data.labels):
        for camera in (1, 2):
            seen = (data.labels == label) & (data.cameras == camera)
            track = crops.qualities[seen] @ crops.rows[seen]
            same = crops.rows[(data.labels == label) & (data.cameras != camera)]
            below += (same @ (track / np.linalg.norm(track)) < ten.similarity).tolist()
    assert ten.genuine_below == pytest.approx(np.mean(below))


def test_stages_follow_each_other_and_a_broken_line_is_named(tmp_path: Path) -> None:
    lines = [
        {"stage": 0, "step": 50, "loss": 3.0, "learning_rate": 0.1},
        {"stage": 0, "step": 80, "validation_mAP": 0.5},
        {"stage": 1, "step": 50, "loss": 2.0, "images_per_s": 40.0},
    ]
    text = [json.dumps(line) for line in lines]
    text[1:1] = ['{"stage": 0, "st', "[1, 2]", '{"loss": 1}']
    (tmp_path / "curves.jsonl").write_text("\n".join(text) + "\n")
    curves = read_training_curves(tmp_path)
    assert curves is not None
    assert curves.losses.keys() == {"loss"}
    assert curves.losses["loss"].steps == (50, 130)
    assert curves.validation["mAP"].values == (0.5,)
    assert curves.stage_starts == (0, 80)
    assert [remark.split(":")[0] for remark in curves.remarks] == [
        f"curves.jsonl, line {number}" for number in (2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("subjects", "data", "out", "message"),
    [
        ([MODEL], [Path("people")], Path("report.pdf"), "expected --out NAME.html"),
        ([MODEL], [], Path("report.html"), "expected --data DIR"),
        ([MODEL], [Path("nowhere")], Path("report.html"), "expected a folder of person crops"),
    ],
)
def test_mistakes_are_said(
    subjects: list[Path], data: list[Path], out: Path, message: str, tmp_path: Path
) -> None:
    with pytest.raises(EdgeReidError, match=message):
        write_report(subjects, data, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_a_link_goes_on_pointing_to_the_newest_report(tmp_path: Path) -> None:
    people, page = draw_people(tmp_path / "people", 3, 4), tmp_path / "page.html"
    link = tmp_path / "newest.html"
    link.symlink_to(page.name)
    write_report([MODEL], [people], link, pictures=False)
    assert link.is_symlink()
    assert page.is_file()


def test_a_report_takes_the_place_of_an_older_one_and_of_no_other_page(
    compared: Path, tmp_path: Path
) -> None:
    people, page = draw_people(tmp_path / "people", 3, 4), tmp_path / "r.html"
    shutil.copy(compared, page)
    write_report([MODEL], [people], page, pictures=False)
    assert page.read_bytes() != compared.read_bytes()
    page.write_text("<!doctype html><title>My report</title>")
    with pytest.raises(UsageError, match=r"--out .*r\.html: expected an older report or no file"):
        write_report([MODEL], [people], page)
    assert "My report" in page.read_text()


def test_only_runs_and_models_are_reported(tmp_path: Path) -> None:
    people = draw_people(tmp_path / "people", 3, 4)
    with pytest.raises(UsageError, match=r"expected a \.tflite or the folder of a run"):
        write_report([tmp_path / "model.onnx"], [people], tmp_path / "r.html")


def test_the_pictures_of_a_data_set_are_counted_as_they_are_scored(tmp_path: Path) -> None:
    """Junk takes no part, and whoever is never looked for is a person all the same."""
    picture = next(draw_people(tmp_path / "drawn", identities=2).iterdir()).read_bytes()
    gallery = "0001_c2_1.jpg", "0002_c2_1.jpg", "0003_c2_1.jpg", "0000_c1_1.jpg", "-1_c1_1.jpg"
    for folder, names in (
        ("query", ("0001_c1_1.jpg", "0002_c1_1.jpg")),
        ("bounding_box_test", gallery),
    ):
        (tmp_path / "official" / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / "official" / folder / name).write_bytes(picture)
    summary = summarise_data(read_split(tmp_path / "official"))
    assert (summary.queries, summary.gallery, summary.distractors) == (2, 4, 1)
