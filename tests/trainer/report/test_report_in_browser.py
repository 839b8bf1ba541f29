"""The report's page as a browser sets it: what is written where, and whether all of it is seen."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

from support.small_runs import draw_people  # noqa: E402

from edge_reid.matching.vectors import unit_rows  # noqa: E402
from trainer.report import plots  # noqa: E402
from trainer.report.curves import TrainingCurves, read_training_curves  # noqa: E402
from trainer.report.log_axis import plain_number  # noqa: E402
from trainer.report.page import make_page, render  # noqa: E402
from trainer.report.style import house_style  # noqa: E402
from trainer.report.subjects import ReportSubject, names_of  # noqa: E402
from trainer.scoring.crop_embeddings import CropEmbeddings  # noqa: E402
from trainer.scoring.data_refs import split_of  # noqa: E402
from trainer.scoring.evaluate import score  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt install chromium")

LONG = "warehouse-north-entrance_by_somebody_with_a_lot_of_time_2026-11-29_second_try"
MEASURE = """
<script>
const at = (e) => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom] }
const figures = [...document.querySelectorAll("figure")].map((f) => ({
  name: f.id, caption: f.querySelector("figcaption").textContent, box: at(f.querySelector("svg")),
  texts: [...f.querySelectorAll("svg text")].map((t) => [t.textContent, at(t)])}))
const cut = [...document.querySelectorAll("h1, h3, td, th, .shot span, .name")].filter(
  (e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflow != "visible")
const sideways = [...document.querySelectorAll(".scroll")].filter(
  (e) => e.scrollWidth > e.clientWidth + 1)
const seen = {figures, sideways: sideways.length, cut: cut.map((e) => e.textContent),
  title: document.title, heading: document.querySelector("h1").textContent.replace(/\\s+/g, " "),
  wide: document.documentElement.scrollWidth, window: window.innerWidth}
document.body.textContent = "SEEN" + JSON.stringify(seen) + "NEES"
</script>"""

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the window."""


@dataclass(frozen=True)
class Figure:
    name: str
    caption: str
    box: Corners
    texts: tuple[tuple[str, Corners], ...]

    @property
    def numbers(self) -> list[tuple[float, Corners]]:
        """The labels of its axes."""
        return [(float(t), at) for t, at in self.texts if re.fullmatch(r"[\d.]+", t)]


@dataclass(frozen=True)
class Page:
    title: str
    heading: str
    figures: tuple[Figure, ...]
    cut: list[str]
    sideways: int
    """Tables that have to be moved to be seen whole."""
    wide: int
    window: int


def seen(page: Path, *, width_px: int = 1200) -> Page:
    """What the browser makes of a page in a window of this width."""
    measured = page.with_name(f"measured-{width_px}.html")
    measured.write_text(page.read_text("utf-8").replace("</body>", MEASURE + "</body>"), "utf-8")
    told = subprocess.run(
        [
            *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            f"--window-size={width_px},900",
            f"--user-data-dir={page.parent / 'browser'}",
            measured.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout
    found = json.loads(html.unescape(told.split("SEEN")[1].split("NEES")[0]))
    figures = [
        Figure(f["name"], f["caption"], f["box"], tuple((t, at) for t, at in f["texts"]))
        for f in found.pop("figures")
    ]
    return Page(figures=tuple(figures), **found)


def subject(name: str, people: Path, noise: float, curves: TrainingCurves | None) -> ReportSubject:
    """A model whose embeddings are directions of people with noise around."""
    split = split_of(people)
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(len(split.data.identities), 24))
    rows = directions[split.data.labels] + noise * rng.normal(size=(len(split.data), 24))
    report = score(split, CropEmbeddings.of_equal_quality(unit_rows(rows)))
    quantiles = ((0.5, 0.1), (0.1, 0.4), (0.01, 0.6))
    return ReportSubject(name, (("file", name),), quantiles, True, curves, (report,))


def curves(folder: Path, last_loss: float) -> TrainingCurves | None:
    lines = [
        {"stage": stage, "step": step, "loss": 5.0 - (5.0 - last_loss) * (10 * stage + step) / 20}
        | {"learning_rate": 3e-4 * (11 - step) / 10, "validation_mAP": 0.6 + step / 50}
        for stage in (0, 1)
        for step in range(1, 11)
    ]
    (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_training_curves(folder)


def subjects(folder: Path, noise: float, last_loss: float) -> list[ReportSubject]:
    """A run and its own export, on people of a long name."""
    people = draw_people(folder / LONG, identities=12)
    names = names_of([folder / LONG, folder / f"{LONG}.tflite"])
    trained = curves(folder, last_loss)
    return [
        subject(names[0], people, noise, trained),
        subject(names[1], people, 1.1 * noise, None),
    ]


def write_page(folder: Path) -> Path:
    """The whole report."""
    both = subjects(folder, noise=1.5, last_loss=0.02)
    page = make_page(both, fpir=0.01, pictures=True, folder=folder)
    (folder / "report.html").write_text(render(page), encoding="utf-8")
    return folder / "report.html"


def write_figures(folder: Path, noise: float, last_loss: float) -> Path:
    """Only those of a report that have logarithmic axes."""
    both = subjects(folder, noise, last_loss)
    trained = both[0].curves
    assert trained is not None
    with house_style():
        drawn = [
            *plots.draw_roc_det(both, folder),
            plots.draw_histograms(both, 0.01, folder),
            plots.draw_training(both[0], trained, "training-1", folder),
        ]
    figures = (
        f'<figure id="{plot.name}">{plot.svg}<figcaption>{plot.caption}</figcaption></figure>'
        for plot in drawn
    )
    page = f"<!doctype html><body><h1></h1>{''.join(figures)}</body>"
    (folder / "figures.html").write_text(page, encoding="utf-8")
    return folder / "figures.html"


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("usual"))


@pytest.fixture(scope="module")
def page(usual: Path) -> Page:
    return seen(usual)


@in_a_browser
def test_labels_are_plain_text(page: Page) -> None:
    texts = [text for figure in page.figures for text, _ in figure.texts]
    assert {"0.1", "1", "10", "100"} <= set(texts)
    assert not [text for text in texts if re.search(r"[$\\{}^]", text)]


@in_a_browser
def test_all_of_every_text_is_seen(page: Page) -> None:
    for figure in page.figures:
        left, top, right, bottom = figure.box
        for text, at in figure.texts:
            inside = at[0] >= left - 1 and at[1] >= top - 1
            inside &= at[2] <= right + 1 and at[3] <= bottom + 1
            assert inside, f"{figure.name}: {text!r} at {at} outside of {figure.box}"
    assert page.cut == []
    assert page.sideways == 0


@in_a_browser
def test_labels_of_axes_do_not_overlap(page: Page) -> None:
    for figure in page.figures:
        for (a, first), (b, second) in combinations(figure.numbers, 2):
            apart = first[2] <= second[0] or second[2] <= first[0]
            apart |= first[3] <= second[1] or second[3] <= first[1]
            assert apart, f"{figure.name}: {a} and {b}"


@in_a_browser
@pytest.mark.parametrize(
    ("noise", "last_loss"), [(1.5, 0.02), (1.5, 4.0), (0.01, 0.0)], ids=["", "narrow", "no errors"]
)
def test_captions_agree_with_the_axes(tmp_path: Path, noise: float, last_loss: float) -> None:
    by_name = {f.name: f for f in seen(write_figures(tmp_path, noise, last_loss)).figures}
    assert "logarithmic" in by_name["similarities"].caption
    assert ("logarithmic" in by_name["training-1"].caption) == (0 < last_loss < 0.5)
    assert ("logarithmic" in by_name["det"].caption) == (noise > 1)
    for figure in by_name.values():
        tens = {value for value, _ in figure.numbers} & {0.01, 0.1, 1.0, 10.0}
        if "logarithmic" in figure.caption:
            assert len(tens) > 1, figure.name


@in_a_browser
def test_a_run_and_its_own_export_have_names_of_their_own(page: Page) -> None:
    assert f"run {LONG} and model {LONG}.tflite" in page.title
    assert page.heading.strip() == f"run {LONG} and model {LONG}.tflite"


@in_a_browser
def test_a_phone_shows_it_without_moving_it_sideways(usual: Path) -> None:
    narrow = seen(usual, width_px=500)
    assert narrow.wide <= narrow.window
    assert narrow.cut == []


def test_names_are_as_long_as_they_must_be_to_be_told_apart() -> None:
    places = [Path(p) for p in ("/a/run", "/a/run.tflite", "/a/x/mine", "/b/x/mine", "/b/_y")]
    assert names_of(places) == [
        "run run",
        "model run.tflite",
        "run a/x/mine",
        "run b/x/mine",
        "run _y",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (500.0, "500"), (2e-5, "2·10⁻⁵"), (1e-12, "10⁻¹²"), (1e7, "10⁷")],
)
def test_numbers_have_no_tex_in_them(value: float, text: str) -> None:
    assert plain_number(value) == text
