"""The page as a person has it before them: a real browser, a real agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support import campus, mjpeg_camera
from support.browser import Browser
from support.mjpeg_camera import MjpegCamera
from support.page_agent import PageRun, visit, walkers
from support.page_checks import is_well_made

from edge_reid.agent.drift_watch import ScoreBasis
from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.area_settings import LineSettings, ZoneSettings
from edge_reid.core.config.settings_file import tomllib
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.matching.score_drift import SCORE_BOUNDS, DriftVerdict

pytestmark = pytest.mark.browser

HOSTILE_NAME = "<img src=x onerror=document.title='caught'>"
TOKEN = "0123456789abcdef"
PICTURE_PX = "document.querySelector('[data-live]').naturalWidth"
DRIFT = "document.querySelector('[data-fact=drift]').textContent"
MEASURED = "[-0.004, -0.071].map((similarity) => measured({similarity, threshold: 0.48}))"
IN_VIEW = "[...document.querySelectorAll('.people li')]"
NAMES = "[...document.querySelectorAll('#hits .name')].map((name) => name.textContent)"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSettings]:
    """An agent with a token, who knows one person, under a name that is HTML; it has found before
    that unknown people are more alike than the model says.
    """
    folder = tmp_path_factory.mktemp("agent")
    gallery, token = folder / "gallery.db", folder / "token"
    token.write_text(f"{TOKEN}\n")
    (person,) = campus.people("bomber-jacket")
    photos = campus.write_photos([person], folder, campus.ENROLLED_BEFORE)
    for words in (
        ("gallery", "init", gallery),
        ("gallery", "enroll", HOSTILE_NAME, *photos["bomber-jacket"], "--gallery", gallery),
    ):
        with pytest.raises(SystemExit, match="0"):
            main([str(word) for word in words])
    with pytest.MonkeyPatch.context() as patch, MjpegCamera(walkers()) as camera:
        patch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
        gate = {"source": {"uri": camera.url}, "detect": {"rate_hz": 3}}
        settings = AgentSettings.model_validate(
            {
                "site": "lab",
                "agent": "device",
                "gallery": gallery,
                "cameras": {"gate": gate},
                "web": {"listen": "127.0.0.1:0", "token_file": token, "keep_crops_s": 3600},
            }
        )
        write_drift(settings)
        yield settings


def write_drift(settings: AgentSettings) -> None:
    """What an earlier run has counted and found."""
    model = load_embedding_manifest(settings.models.embedding)
    verdict = DriftVerdict("higher", tracks=800, shift=0.06, fpir=0.034)
    table = {
        "basis": asdict(ScoreBasis(model.model_id, 1, 1, 0.6)),
        "counts": (0,) * (len(SCORE_BOUNDS) + 1),
        "known": 0,
        "verdict": asdict(verdict),
    }
    settings.scores_path.write_text(json.dumps({"gate": table}))


def test_a_person_logs_in_by_keyboard_sees_who_is_there_asks_why_and_draws_a_zone(
    settings: AgentSettings, tmp_path: Path
) -> None:
    def look(run: PageRun) -> None:
        with Browser(tmp_path / "phone", width_px=360, height_px=780, is_dark=True) as phone:
            log_in(phone, run.page.url)
            see_hits(phone)
            phone.screenshot(tmp_path / "phone.png")
            phone.open(f"{run.page.url}cameras/gate/areas")
            draw_line(phone)
            phone.screenshot(tmp_path / "phone-line.png")
        with Browser(tmp_path / "wide") as browser:
            log_in(browser, run.page.url)
            see_hits(browser)
            browser.wait_for(f"{IN_VIEW}.length > 0")
            number = "(line) => /^#[0-9]+ /.test(line.textContent)"
            assert browser.evaluate(f"{IN_VIEW}.every({number})"), "as in the picture"
            assert browser.evaluate(MEASURED) == ["0.00 of 0.48 needed", "−0.07 of 0.48 needed"]
            assert browser.evaluate("[1, 2].map((count) => counted(count, 'template'))") == [
                "1 template",
                "2 templates",
            ]
            assert browser.wait_for(PICTURE_PX) == 768
            assert "unknown tracks are more alike" in browser.wait_for(DRIFT)
            browser.screenshot(tmp_path / "wide.png")
            ask_why(browser)
            browser.screenshot(tmp_path / "why.png")
            say_that_it_was_somebody_else(browser)
            browser.screenshot(tmp_path / "not-them.png")
            look_at_earlier_hits(browser, run.page.url)
            browser.screenshot(tmp_path / "earlier.png")
            draw_zone(browser, run.page.url)
            browser.screenshot(tmp_path / "areas.png")
            draw_line(browser)
            browser.screenshot(tmp_path / "line.png")
            # of a page that is left, a browser says that its streams have ended
            assert not [line for line in browser.said if "/cameras/" not in line]

    visit(settings, look)


def log_in(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.wait_for("document.title === 'device: log in'")
    is_well_made(browser)
    for _ in range(4):  # skip link, brand, name, secret
        browser.press("Tab")
    browser.type(TOKEN)
    browser.press("Enter")
    browser.wait_for("document.title === 'device: live' && document.readyState !== 'loading'")


def see_hits(browser: Browser) -> None:
    browser.wait_for(f"{NAMES}.includes({json.dumps(HOSTILE_NAME)})")
    browser.wait_for("document.querySelector('.tile polyline').getAttribute('points')")
    is_well_made(browser)


def ask_why(browser: Browser) -> None:
    browser.evaluate("document.querySelector('#hits .known').closest('a').click()")
    browser.wait_for("document.title.startsWith('device: why <img')")
    assert browser.wait_for("document.querySelector('.crop img').naturalWidth") > 20
    is_well_made(browser)


def say_that_it_was_somebody_else(browser: Browser) -> None:
    """By keyboard."""
    browser.evaluate("document.querySelector('.deny summary').focus()")
    browser.press("Enter")
    browser.wait_for("document.querySelector('.deny').open")
    browser.press("Tab")
    browser.press("Enter")
    said = browser.wait_for("document.querySelector('.note')?.textContent")
    assert f"this was not {HOSTILE_NAME}" in said
    is_well_made(browser)


def look_at_earlier_hits(browser: Browser, url: str) -> None:
    browser.open(f"{url}kept")
    browser.wait_for("document.title === 'device: earlier hits'")
    assert browser.wait_for("document.querySelector('.kept img').naturalWidth") > 20
    is_well_made(browser)


def draw_zone(browser: Browser, url: str) -> None:
    """By keyboard; what the page gives is what the configuration takes."""
    browser.open(f"{url}cameras/gate/areas")
    browser.wait_for("document.title === 'device: zones of gate'")
    browser.wait_for("document.querySelector('[data-said]').textContent.startsWith('0 corners')")
    browser.evaluate("document.querySelector('.canvas svg').focus()")
    for keys in (["Enter"], ["ArrowRight"] * 10 + ["Enter"], ["ArrowDown"] * 20 + ["Enter"]):
        for key in keys:
            browser.press(key)
    (zone,) = written(browser)["zones"]
    taken = ZoneSettings.model_validate(zone)
    assert (taken.name, taken.loitering_s) == ("zone-1", None)
    assert taken.points == ((0.5, 0.5), (0.6, 0.5), (0.6, 0.7))
    fill(browser, "loitering_s", "60")
    (zone,) = written(browser)["zones"]
    assert ZoneSettings.model_validate(zone).loitering_s == 60
    fill(browser, "loitering_s", "-5")
    assert written(browser) == {}
    fill(browser, "loitering_s", "")
    is_well_made(browser)


def draw_line(browser: Browser) -> None:
    """By keyboard, from left to right: people go in where they come down in the picture."""
    browser.wait_for("document.title === 'device: zones of gate'")
    browser.wait_for("document.querySelector('[data-said]').textContent.includes('corners')")
    browser.evaluate("document.querySelector('[data-do=clear]').click()")
    fill(browser, "name", "zone-1")
    fill(browser, "kind", "lines")
    assert browser.evaluate("field('name').value") == "line-1", "unless somebody has named it"
    fill(browser, "name", "door")
    fill(browser, "kind", "zones")
    fill(browser, "kind", "lines")
    assert browser.evaluate("field('name').value") == "door"
    browser.evaluate("document.querySelector('.canvas svg').focus()")
    x, y = browser.evaluate("cross")
    browser.press("Enter")
    assert written(browser) == {}, "a line has two ends"
    for key in ["ArrowRight"] * 10 + ["Enter"]:
        browser.press(key)
    (line,) = written(browser)["lines"]
    taken = LineSettings.model_validate(line)
    assert (taken.name, taken.direction) == ("door", "both")
    assert taken.points == ((x, y), (pytest.approx(x + 0.1), y))
    drawn = browser.evaluate("document.querySelector('[data-line]').getAttribute('d')")
    tip_y = float(drawn.split("L")[2].split("M")[0].split()[1])
    assert tip_y > y, "the arrow points down"
    fill(browser, "direction", "out")
    (line,) = written(browser)["lines"]
    assert LineSettings.model_validate(line).direction == "out"
    is_well_made(browser)


def written(browser: Browser) -> dict[str, Any]:
    """What the page gives for the configuration, of its camera."""
    lines = browser.evaluate("document.querySelector('textarea').value")
    found: dict[str, Any] = tomllib.loads(lines).get("cameras", {}).get("gate", {})
    return found


def fill(browser: Browser, name: str, value: str) -> None:
    browser.evaluate(
        f"(() => {{ const field = document.querySelector('[name={name}]'); field.value = '{value}';"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def test_a_connection_that_is_lost_says_so_and_comes_back(
    settings: AgentSettings, tmp_path: Path
) -> None:
    is_lost = "!document.getElementById('lost').hidden"
    with Browser(tmp_path / "profile") as browser:
        port = None

        def first(run: PageRun) -> None:
            nonlocal port
            port = int(run.page.url.rsplit(":", 1)[1].strip("/"))
            log_in(browser, run.page.url)
            browser.wait_for("document.querySelector('.state').textContent.startsWith('running')")
            assert not browser.evaluate(is_lost)

        visit(settings, first)
        browser.wait_for(is_lost)
        assert settings.web is not None
        web = settings.web.model_copy(update={"listen": f"127.0.0.1:{port}"})

        def again(_: PageRun) -> None:
            browser.wait_for("document.title === 'device: log in'")

        visit(settings.model_copy(update={"web": web}), again)
