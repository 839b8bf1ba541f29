"""People as an operator has them before them: a real browser, a real agent on the demo clip."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import campus, mjpeg_camera
from support.browser import Browser
from support.mjpeg_camera import MjpegCamera
from support.node_packages import node_package
from support.page_agent import PageClient, PageRun, first_stranger, visit, walkers
from support.page_checks import has_no_grave_axe_finding, is_well_made

from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.gallery.store import GalleryStore
from edge_reid.web.people_facts import person_id

pytestmark = pytest.mark.browser

HOSTILE_NAME = "<img src=x onerror=document.title='caught'>"
NAMES = "[...document.querySelectorAll('#hits .name')].map((name) => name.textContent)"
IN_VIEW = "[...document.querySelectorAll('.people .name')].map((name) => name.textContent)"
OF_UNKNOWN = """[...document.querySelectorAll('.people li')]
  .filter((line) => line.querySelector('.name.unknown')).map((line) => line.querySelector('a'))"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSettings]:
    """An agent that knows nobody yet."""
    folder = tmp_path_factory.mktemp("agent")
    gallery = folder / "gallery.db"
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "init", str(gallery)])
    with pytest.MonkeyPatch.context() as patch, MjpegCamera(walkers(frames=36)) as camera:
        patch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
        gate = {"source": {"uri": camera.url}, "detect": {"rate_hz": 3}}
        yield AgentSettings.model_validate(
            {
                "site": "lab",
                "agent": "device",
                "gallery": gallery,
                "cameras": {"gate": gate},
                "strangers": {"path": folder / "strangers.db"},
                "web": {"listen": "127.0.0.1:0"},
            }
        )


def test_somebody_in_the_picture_is_enrolled_named_again_renamed_and_removed(
    settings: AgentSettings, tmp_path: Path
) -> None:
    def use(run: PageRun) -> None:
        with Browser(tmp_path / "profile") as browser:
            enrol_from_picture(browser, run.page.url, HOSTILE_NAME, tmp_path)
            next_hit_names(browser, run.page.url, HOSTILE_NAME)
            rename(browser, run.page.url, HOSTILE_NAME, "Anna")
            next_decision_names(browser, run.page.url, "Anna")
            browser.screenshot(tmp_path / "live.png")
            remove(browser, run.page.url, "Anna", tmp_path)
            with GalleryStore.open(settings.gallery) as store:
                assert store.identities() == ()
            browser.open(run.page.url)
            browser.wait_for(f"{NAMES}.length > 0 && !{NAMES}.includes('Anna')")
            assert not browser.said, browser.said

    visit(settings, use)


def enrol_from_picture(browser: Browser, url: str, name: str, pictures: Path) -> None:
    """A track that is decided unknown, by its link, by keyboard."""
    browser.open(url)
    browser.wait_for(f"{OF_UNKNOWN}.length > 0")
    browser.evaluate(f"{OF_UNKNOWN}[0]?.click()")
    browser.wait_for("document.title.startsWith('device: enrol track')")
    assert browser.wait_for("document.querySelector('.crop img').naturalWidth") > 20
    is_well_made(browser)
    browser.screenshot(pictures / "track.png")
    browser.evaluate("document.querySelector('[name=name]').focus()")
    browser.type(name)
    browser.press("Enter")
    browser.wait_for(f"document.title === {json.dumps(f'device: {name}')}")
    assert browser.evaluate("document.querySelectorAll('.template').length") >= 1
    is_well_made(browser)
    browser.screenshot(pictures / "person.png")


def next_hit_names(browser: Browser, url: str, name: str) -> None:
    browser.open(url)
    browser.wait_for(f"{NAMES}.includes({json.dumps(name)})", timeout_s=60)


def next_decision_names(browser: Browser, url: str, name: str) -> None:
    """Of somebody in view: of a hit of before, the page has changed the name itself."""
    browser.open(url)
    browser.wait_for(f"{IN_VIEW}.includes({json.dumps(name)})", timeout_s=60)


def open_person(browser: Browser, url: str, name: str) -> None:
    browser.open(f"{url}people")
    browser.wait_for("document.title === 'device: people'")
    is_well_made(browser)
    browser.evaluate(
        f"[...document.querySelectorAll('.list .name')].find((one) => "
        f"one.textContent === {json.dumps(name)}).closest('a').click()"
    )
    browser.wait_for(f"document.title === {json.dumps(f'device: {name}')}")


def rename(browser: Browser, url: str, name: str, new: str) -> None:
    open_person(browser, url, name)
    browser.evaluate("document.querySelector('[name=name]').select()")
    browser.type(new)
    browser.press("Enter")
    browser.wait_for(f"document.title === {json.dumps(f'device: {new}')}")


def remove(browser: Browser, url: str, name: str, pictures: Path) -> None:
    open_person(browser, url, name)
    browser.evaluate("document.querySelector('.careful summary').click()")
    browser.screenshot(pictures / "remove.png")
    browser.evaluate("document.querySelector('.careful button').click()")
    browser.wait_for("document.title === 'device: people'")
    browser.wait_for("document.body.textContent.includes('was removed, and overwritten')")
    assert name not in browser.evaluate("document.querySelector('main').textContent")


WINDOWS = pytest.mark.parametrize(
    ("width_px", "is_dark"),
    [
        pytest.param(360, True, id="phone, dark"),
        pytest.param(1280, False, id="wide, light", marks=pytest.mark.soak),
    ],
)


@WINDOWS
def test_every_page_of_people_can_be_read_by_everybody(
    settings: AgentSettings, tmp_path: Path, width_px: int, is_dark: bool
) -> None:
    look_at_every_page(settings, tmp_path, Window(width_px, is_dark), is_well_made)


@pytest.mark.node
@WINDOWS
def test_axe_finds_nothing_grave_on_the_pages_of_people(
    settings: AgentSettings, tmp_path: Path, width_px: int, is_dark: bool
) -> None:
    node_package("axe-core")
    look_at_every_page(settings, tmp_path, Window(width_px, is_dark), has_no_grave_axe_finding)


@dataclass(frozen=True)
class Window:
    width_px: int
    is_dark: bool


def look_at_every_page(
    settings: AgentSettings, tmp_path: Path, window: Window, check: Callable[[Browser], None]
) -> None:
    """Open each page that there is of people, with everything on it unfolded, and check it."""
    photos = campus.write_photos(campus.people(*campus.ENROLLED), tmp_path / "photos")
    gallery = tmp_path / "gallery.db"
    shutil.copy(settings.gallery, gallery)
    enroll_all(gallery, photos)

    def look(run: PageRun) -> None:
        size = {"width_px": window.width_px, "height_px": 800, "is_dark": window.is_dark}
        with Browser(tmp_path / "profile", **size) as browser:
            for name, path in pages_of(browser, run.page.url).items():
                browser.open(run.page.url.rstrip("/") + path)
                browser.wait_for(f"document.title.startsWith({json.dumps(f'device: {name}')})")
                open_all(browser)
                check(browser)
                browser.screenshot(tmp_path / f"{name[:12].strip('<')}.png")
            doctor_speaks_of_a_photo(browser, run.page.url, photos[campus.ENROLLED[2]][0])
            check(browser)
            browser.screenshot(tmp_path / "doctor.png")

    visit(settings.model_copy(update={"gallery": gallery}), look)


def enroll_all(gallery: Path, photos: dict[str, list[Path]]) -> None:
    """Three people under names that are hard to show, one of them with a template disabled."""
    one, other, third = campus.ENROLLED
    enroll(gallery, HOSTILE_NAME, *photos[one], photos[other][0])
    enroll(gallery, "Anna", *photos[other][1:])
    enroll(gallery, "a name that is quite long, of somebody from the night shift", *photos[third])
    with GalleryStore.open(gallery) as store:
        store.disable({store.templates("Anna")[0].template_id or 0: "too dark"})


def enroll(gallery: Path, name: str, *photos: Path) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["gallery", "enroll", name, *map(str, photos), "--gallery", str(gallery)])


def pages_of(browser: Browser, url: str) -> dict[str, str]:
    """By the beginning of their titles; once somebody was in the picture and has left."""
    anna, hostile = person_id("Anna"), person_id(HOSTILE_NAME)
    browser.open(url)
    browser.wait_for(f"{OF_UNKNOWN}.length > 0")
    track = browser.evaluate(f"new URL({OF_UNKNOWN}[0].href).pathname")
    stranger = f"/strangers/{first_stranger(PageClient(url))}"
    return {
        "people": "/people",
        "<img": f"/people/{hostile}",
        "Anna": f"/people/{anna}",
        "merge <img": f"/people/{hostile}/merge/{anna}",
        "not done": "/people/0000000000000000",
        "enrol": "/enrol",
        "enrol track": track,
        "strangers": "/strangers",
        "anon-": stranger,
    }


def open_all(browser: Browser) -> None:
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")


def doctor_speaks_of_a_photo(browser: Browser, url: str, photo: Path) -> None:
    """A photo that somebody else is enrolled with, chosen in the form."""
    browser.open(f"{url}enrol")
    browser.wait_for("document.title === 'device: enrol' && document.readyState === 'complete'")
    browser.choose_file("[name=photo]", photo)
    browser.evaluate("document.querySelector('[name=name]').focus()")
    browser.type("Anna")
    browser.press("Enter")
    browser.wait_for("document.title === 'device: enrol Anna'")
    assert browser.evaluate("document.body.textContent.includes('is the very photo that')")
