"""People on the page of a real agent, asked over real HTTP: what it does, and what it refuses."""

from __future__ import annotations

import re
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import campus, mjpeg_camera
from support.consumer import eventually
from support.mjpeg_camera import MjpegCamera
from support.page_agent import Answer, PageClient, PageRun, first_stranger, visit, walkers

from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.gallery.store import GalleryStore
from edge_reid.strangers.stranger_store import StrangerStore
from edge_reid.web.password_hash import PasswordHash
from edge_reid.web.people_facts import person_id
from edge_reid.web.photo_forms import MOST_PHOTO_BYTES, MOST_PHOTOS_AT_ONCE

HOSTILE_NAME = "<img src=x onerror=document.title='caught'>"
PASSWORD = "correct horse battery"
CROWDED_FRAME = 0
"""Of the clip: several people."""
RED, BOMBER, BROWN = campus.ENROLLED


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Crops of three people of the clip."""
    return campus.write_photos(campus.people(*campus.ENROLLED), tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def enrolled(photos: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person, under a name that is HTML."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.db"
    run("gallery", "init", path)
    run("gallery", "enroll", HOSTILE_NAME, *photos[BOMBER][:3], "--gallery", path)
    return path


@pytest.fixture
def gallery(enrolled: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copy(enrolled, tmp_path))


@pytest.fixture(scope="module")
def camera() -> Iterator[MjpegCamera]:
    with pytest.MonkeyPatch.context() as patch, MjpegCamera(walkers(frames=36)) as served:
        patch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
        yield served


def run(*words: object) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in words])


def settings_of(gallery: Path, camera: MjpegCamera, **more: object) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "site": "lab",
            "agent": "device",
            "gallery": gallery,
            "cameras": {"gate": {"source": {"uri": camera.url}, "detect": {"rate_hz": 3}}},
            "web": {"listen": "127.0.0.1:0"},
        }
        | more
    )


def ready(url: str) -> PageClient:
    """Whoever is on the device, once the agent is built."""
    client = PageClient(url)
    eventually(lambda: client.get("/people").status == 200, timeout_s=60)
    return client


def words_of(answer: Answer) -> str:
    """The text of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", answer.body).split())


def page_of(name: str) -> str:
    return f"/people/{person_id(name)}"


def version_of(gallery: Path) -> int:
    with GalleryStore.open(gallery) as store:
        return store.version


def names_in(gallery: Path) -> list[str]:
    with GalleryStore.open(gallery) as store:
        return [person.identity for person in store.identities()]


def numbers_of(gallery: Path, name: str) -> list[int | None]:
    with GalleryStore.open(gallery) as store:
        return [template.template_id for template in store.templates(name)]


def test_an_operator_keeps_the_gallery_in_order_and_takes_back_what_was_wrong(
    gallery: Path, camera: MjpegCamera, photos: dict[str, list[Path]]
) -> None:
    def use(page: PageRun) -> None:
        client = ready(page.page.url)
        photos_are_enrolled_when_the_doctor_is_content(client, gallery, photos)
        an_unclear_photo_says_what_can_be_done_here(client)
        what_speaks_against_it_is_said_before(client, gallery, photos)
        templates_are_disabled_moved_and_removed(client, gallery)
        two_names_of_one_person_are_merged(client, gallery, photos)

    visit(settings_of(gallery, camera), use)


def photos_are_enrolled_when_the_doctor_is_content(
    client: PageClient, gallery: Path, photos: dict[str, list[Path]]
) -> None:
    first, second = photos[RED][:2]
    client.get("/enrol")
    answer = client.upload("/enrol", first.read_bytes(), first.name, name="Reta")
    assert (answer.status, answer.headers["location"]) == (303, page_of("Reta"))
    said = words_of(client.get(page_of("Reta")))
    assert "1 template of Reta enrolled (the photo is a crop, quality" in said
    assert first.name in said, "the photo's name stands with its template"
    assert client.post("/people/undo", number=undo_number(client, "Reta")).status == 303
    assert names_in(gallery) == [HOSTILE_NAME], "taken back"
    for photo in (first, second):
        assert client.upload("/enrol", photo.read_bytes(), photo.name, name="Reta").status == 303
    again = client.upload("/enrol", first.read_bytes(), "other name.png", name="Reta")
    assert again.status == 409
    assert "expected something new of Reta" in words_of(again)


def an_unclear_photo_says_what_can_be_done_here(client: PageClient) -> None:
    """Not what can be typed on a command line."""
    (street,) = campus.read_frames({CROWDED_FRAME}).values()
    wall = np.full((480, 640, 3), 128, np.uint8)
    several = "got 3; cut the photo to one of them, or tick that the largest is taken"
    nobody = "got nobody; take another photo, with a person from head to feet"
    for picture, expected in (
        (street, f"expected one person, {several}"),
        (wall, f"expected a person, {nobody}"),
    ):
        client.get("/enrol")
        photo = bytes(cv2.imencode(".png", picture[..., ::-1])[1])
        answer = client.upload("/enrol", photo, "a.png", name="Reta")
        assert answer.status == 409
        assert f"nobody was enrolled: photo a.png: {expected}" in words_of(answer)
        assert "--" not in words_of(answer)


def undo_number(client: PageClient, name: str) -> str:
    return client.get(page_of(name)).body.split('name="number" value="')[1].split('"')[0]


def what_speaks_against_it_is_said_before(
    client: PageClient, gallery: Path, photos: dict[str, list[Path]]
) -> None:
    before, same = version_of(gallery), photos[BOMBER][0]
    client.get("/enrol")
    asked = client.upload("/enrol", same.read_bytes(), same.name, name="Reta")
    assert asked.status == 200
    assert "is the very photo that &lt;img src=x" in asked.body
    assert "far from its own: similarity to the nearest of its own" in asked.body
    assert "gallery doctor" not in asked.body, "which nobody can run on the page"
    assert "move or remove it there first" in asked.body
    assert version_of(gallery) == before, "nothing is stored before somebody says so"
    ticket = asked.body.split('name="ticket" value="')[1].split('"')[0]
    assert client.post("/enrol/confirm", ticket="guessed").status == 409
    client.get("/enrol")
    assert client.post("/enrol/confirm", ticket=ticket).headers["location"] == page_of("Reta")
    client.get("/enrol")
    assert client.post("/enrol/confirm", ticket=ticket).status == 409, "once"
    assert len(numbers_of(gallery, "Reta")) == 3
    people = client.get("/people").body
    assert "the same photo under two names" in people, "the doctor's findings"


def templates_are_disabled_moved_and_removed(client: PageClient, gallery: Path) -> None:
    first, second, wrong = numbers_of(gallery, "Reta")
    at = f"{page_of('Reta')}/templates"
    assert client.post(f"{at}/{wrong}/disable").status == 303
    assert numbers_of(gallery, "Reta") == [first, second]
    assert "disabled on the page by this device" in client.get(page_of("Reta")).body
    assert client.post(f"{at}/{wrong}/enable").status == 303
    client.get(page_of("Reta"))
    assert client.post(f"{at}/{wrong}/move", name="Somebody new").status == 303
    assert numbers_of(gallery, "Somebody new") == [wrong]
    number = undo_number(client, "Somebody new")
    assert client.post("/people/undo", number=number).status == 303
    client.get(page_of("Reta"))
    assert numbers_of(gallery, "Reta") == [first, second, wrong]
    assert client.post("/people/undo", number=number).status == 409, "another change came since"
    client.get(page_of("Reta"))
    assert client.post(f"{at}/{wrong}/remove").status == 303
    foreign = numbers_of(gallery, HOSTILE_NAME)[0]
    client.get("/people")
    for act in ("disable", "enable", "move", "remove"):
        answer = client.post(f"{at}/{foreign}/{act}", name="Reta 2")
        assert answer.status == 409, act
        client.get("/people")
    assert numbers_of(gallery, "Reta") == [first, second]


def two_names_of_one_person_are_merged(
    client: PageClient, gallery: Path, photos: dict[str, list[Path]]
) -> None:
    run("gallery", "enroll", "reta again", *photos[RED][2:5], "--gallery", gallery)
    pair = f"{page_of('reta again')}/merge/{person_id('Reta')}"
    alike = words_of(client.get(pair))
    assert "reta again and Reta may be one person: similarity 0." in alike
    unlike = words_of(client.get(f"{page_of('Reta')}/merge/{person_id(HOSTILE_NAME)}"))
    assert "look like two people: similarity" in unlike
    assert client.post(f"{page_of('reta again')}/merge", name="reta").headers["location"] == pair
    client.get(pair)
    assert client.post(pair).headers["location"] == page_of("Reta")
    assert names_in(gallery) == [HOSTILE_NAME, "Reta"]
    number = undo_number(client, "Reta")
    assert client.post("/people/undo", number=number).status == 303
    assert names_in(gallery) == [HOSTILE_NAME, "Reta", "reta again"]
    assert len(numbers_of(gallery, "reta again")) == 3
    taken = client.post(f"{page_of('Reta')}/rename", name=HOSTILE_NAME)
    assert taken.status == 409
    assert "is enrolled already" in taken.body


def test_who_has_no_right_or_no_form_of_ours_changes_nothing(
    gallery: Path, camera: MjpegCamera, photos: dict[str, list[Path]]
) -> None:
    users = {
        name: {"role": role, "password_hash": str(PasswordHash.of(PASSWORD))}
        for name, role in (("vera", "viewer"), ("otto", "operator"), ("ada", "admin"))
    }
    before = version_of(gallery)

    def attack(page: PageRun) -> None:
        url, photo = page.page.url, photos[RED][0].read_bytes()
        strangers_get_nothing(PageClient(url), photo)
        vera, otto = logged_in(url, "vera"), logged_in(url, "otto")
        a_viewer_only_looks(vera, photo)
        an_operator_removes_nobody(otto)
        forms_of_others_do_nothing(otto, vera, photo)
        addresses_lead_nowhere_else(otto)
        names_are_names(otto)
        photos_are_bounded(otto)
        assert version_of(gallery) == before
        ada = logged_in(url, "ada")
        assert HOSTILE_NAME not in ada.get(page_of(HOSTILE_NAME)).body
        assert ada.post(f"{page_of(HOSTILE_NAME)}/remove").status == 303
        assert names_in(gallery) == []

    visit(settings_of(gallery, camera, web={"listen": "127.0.0.1:0", "users": users}), attack)


def logged_in(url: str, name: str) -> PageClient:
    client = PageClient(url)
    client.get("/login")
    assert client.post("/login", name=name, secret=PASSWORD).status == 303
    eventually(lambda: client.get("/people").status == 200, timeout_s=60)
    client.get("/")
    return client


SHOWN = (
    "/people",
    page_of(HOSTILE_NAME),
    "/strangers",
    "/crops/1.jpg",
    "/enrol",
    "/cameras/gate/tracks/1",
)
OPERATORS = (
    "/enrol/confirm",
    "/people/undo",
    "/cameras/gate/tracks/1",
    f"{page_of(HOSTILE_NAME)}/rename",
    f"{page_of(HOSTILE_NAME)}/merge",
    f"{page_of(HOSTILE_NAME)}/merge/{person_id('Reta')}",
    f"{page_of(HOSTILE_NAME)}/templates/1/disable",
    f"{page_of(HOSTILE_NAME)}/templates/1/enable",
    f"{page_of(HOSTILE_NAME)}/templates/1/move",
    "/strangers/anon-000000-1/promote",
    "/strangers/anon-000000-1/merge/anon-000000-2",
)
ADMINS = (
    f"{page_of(HOSTILE_NAME)}/remove",
    f"{page_of(HOSTILE_NAME)}/templates/1/remove",
    "/strangers/anon-000000-1/forget",
)


def strangers_get_nothing(client: PageClient, photo: bytes) -> None:
    for path in SHOWN:
        assert client.ask("GET", path).status == 401, path
    for path in (*OPERATORS, *ADMINS):
        assert client.post(path, name="Eve").status == 401, path
    assert client.upload("/enrol", photo, name="Eve").status == 401


def a_viewer_only_looks(vera: PageClient, photo: bytes) -> None:
    person = vera.get(page_of(HOSTILE_NAME))
    assert person.status == 200
    assert 'method="post" action="/people' not in person.body, "no form that would be refused"
    for path in ("/enrol", "/cameras/gate/tracks/1"):
        assert vera.get(path).status == 403, path
    for path in (*OPERATORS, *ADMINS):
        assert vera.post(path, name="Eve").status == 403, path
    assert vera.upload("/enrol", photo, name="Eve").status == 403


def an_operator_removes_nobody(otto: PageClient) -> None:
    assert "for good" not in otto.get(page_of(HOSTILE_NAME)).body
    for path in ADMINS:
        assert otto.post(path).status == 403, path


def forms_of_others_do_nothing(otto: PageClient, vera: PageClient, photo: bytes) -> None:
    otto.get("/enrol")
    elsewhere = {"origin": "https://evil.example"}
    for path in OPERATORS:
        assert otto.post(path, form_token="", name="Eve").status == 403, path
        assert otto.post(path, form_token=vera.form_token, name="Eve").status == 403, path
        assert otto.post(path, elsewhere, name="Eve").status == 403, path
        otto.get(path)  # which changes nothing, either
        otto.get("/enrol")
    assert otto.upload("/enrol", photo, name="Eve", form_token="").status == 403
    assert otto.upload("/enrol", photo, name="Eve", form_token=vera.form_token).status == 403


def addresses_lead_nowhere_else(otto: PageClient) -> None:
    number = "9" * 40
    for path in (
        "/people/../../etc/passwd",
        "/people/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/people/..",
        f"/people/{person_id(HOSTILE_NAME)}'--",
        f"/people/{'0' * 16}",
        "/strangers/%2e%2e%2fgallery.db",
        "/strangers/anon-000000-1'--",
        f"/crops/{number}.jpg",
        "/crops/..%2f1.jpg",
        f"/cameras/gate/tracks/{number}",
        "/cameras/yard/tracks/1",
        "/cameras/..%2fgate/tracks/1",
    ):
        assert otto.get(path).status in {404, 409}, path
    for path in (
        f"/people/{'0' * 16}/rename",
        "/people/nobody/rename",
        "/people/%2e%2e/rename",
        f"{page_of(HOSTILE_NAME)}/templates/{number}/disable",
        "/cameras/yard/tracks/1",
        f"/cameras/gate/tracks/{number}",
    ):
        otto.get("/enrol")
        assert otto.post(path, name="Eve", **{"crop-1": "yes"}).status in {404, 409}, path


def names_are_names(otto: PageClient) -> None:
    path = f"{page_of(HOSTILE_NAME)}/rename"
    for name in ("", "   ", "x" * 65, "a\nb", "a\x00b", "a\u202eb", "anon-3fa2c1-12"):
        otto.get("/enrol")
        answer = otto.post(path, name=name)
        assert answer.status == 409, name
        assert "expected" in words_of(answer)


def photos_are_bounded(otto: PageClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), np.uint8)
    large = bytes(cv2.imencode(".png", noise)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse_to_write)
        otto.get("/enrol")
        answer = otto.upload("/enrol", large, name="Eve")
    assert len(large) > 3 << 20
    assert "expected a person, got nobody" in words_of(answer), "read, and never on a disk"
    for photo, words in (
        (b"", "expected one, got none"),
        (b"no picture", "this cannot be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "this cannot be decoded"),
        (large[:-100], "the file is cut short"),
        (bomb(30_000, 30_000), "expected at most 12 megapixels, got 30000 × 30000"),
    ):
        otto.get("/enrol")
        answer = otto.upload("/enrol", photo, "../../<b>evil</b>.png", name="Eve")
        assert answer.status == 409
        assert words in words_of(answer)
        assert "<b>evil" not in answer.body
    otto.get("/enrol")
    assert otto.upload("/enrol", b"x" * (MOST_PHOTO_BYTES + (16 << 10)), name="Eve").status == 403
    assert (
        otto.upload("/enrol", large, name="Eve", **{f"f{n}": "x" for n in range(9)}).status == 403
    )
    assert otto.upload("/enrol", large, name="x" * 9000).status == 403
    assert otto.post("/enrol", name="Eve").status == 403, "a form without a photo's kind"
    many_at_once_are_refused(otto)


def refuse_to_write(*_: object) -> None:
    raise AssertionError("a photo was about to be written into a file")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(200)) + packer.flush()
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def many_at_once_are_refused(otto: PageClient) -> None:
    """While as many photos as may be are on their way, one more is refused, and then taken."""
    otto.get("/enrol")
    slow = [begun_upload(otto) for _ in range(MOST_PHOTOS_AT_ONCE)]
    eventually(lambda: otto.upload("/enrol", b"x", name="Eve").status == 403, timeout_s=10)
    for connection in slow:
        connection.close()
    otto.get("/enrol")
    eventually(lambda: otto.upload("/enrol", b"x", name="Eve").status == 409, timeout_s=10)


def begun_upload(client: PageClient):
    connection = client.connection()
    connection.putrequest("POST", "/enrol")
    for name, value in (
        ("Cookie", f"edge_reid_session={client.cookie}"),
        ("Content-Type", "multipart/form-data; boundary=limit"),
        ("Content-Length", "100000"),
    ):
        connection.putheader(name, value)
    connection.endheaders(b"--limit\r\n")
    return connection


def test_a_stranger_is_promoted_and_named_from_then_on(
    gallery: Path, camera: MjpegCamera, tmp_path: Path
) -> None:
    strangers = tmp_path / "strangers.db"

    def use(page: PageRun) -> None:
        client = ready(page.page.url)
        name = first_stranger(client)
        assert 'src="/crops/' in client.get(f"/strangers/{name}").body, "what they looked like"
        agree(client, client.post(f"/strangers/{name}/promote", name="Cleo"))
        assert "Cleo" in names_in(gallery)
        with StrangerStore.open(strangers) as store:
            assert name not in {each.name for each in store.strangers()}
        assert any("Cleo" in identities(hits) for hits in client.events("hits"))

    visit(settings_of(gallery, camera, strangers={"path": strangers}), use)


def agree(client: PageClient, answer: Answer) -> None:
    """Go on, whatever the doctor had to say."""
    if answer.status == 200:
        ticket = answer.body.split('name="ticket" value="')[1].split('"')[0]
        answer = client.post("/enrol/confirm", ticket=ticket)
    assert answer.status == 303, answer.body


def identities(hits: list[dict]) -> set[str | None]:
    return {hit["identity"] for hit in hits}


def test_a_gallery_that_is_kept_elsewhere_is_only_shown(
    gallery: Path, camera: MjpegCamera, photos: dict[str, list[Path]], tmp_path: Path
) -> None:
    keys, published = tmp_path / "keys", tmp_path / "published"
    run("keys", "new", "--out", keys)
    key = keys / "gallery-signing.key"
    words = ("--gallery", gallery, "--site", "lab", "--to", published, "--key", key)
    run("gallery", "publish", *words)
    sync = {"source": str(published), "public_key": keys / "gallery-signing.pub"}

    def use(page: PageRun) -> None:
        client = ready(page.page.url)
        eventually(lambda: "1 enrolled" in client.get("/people").body, timeout_s=20)
        people = client.get("/people")
        assert "This gallery is kept elsewhere." in people.body
        assert "gallery publish" in people.body
        assert HOSTILE_NAME not in people.body
        assert "&lt;img src=x" in people.body
        assert 'action="/people' not in people.body
        client.get("/")
        enrolled = client.upload("/enrol", photos[RED][0].read_bytes(), name="Eve")
        renamed = client.post(f"{page_of(HOSTILE_NAME)}/rename", name="Eve")
        for answer in (enrolled, renamed):
            assert answer.status == 409
            assert "got a copy that follows" in words_of(answer)

    visit(settings_of(tmp_path / "device.db", camera, gallery_sync=sync), use)
