"""The page of a real agent on the campus clip, asked over real HTTP."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest
from support import campus, mjpeg_camera
from support.consumer import eventually
from support.mjpeg_camera import MjpegCamera
from support.page_agent import PageClient, PageRun, visit, walkers

from edge_reid.cli.main import main
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.gallery.store import GalleryStore
from edge_reid.web import connection_limits, live_page
from edge_reid.web.live_page import LivePage
from edge_reid.web.password_hash import PasswordHash
from edge_reid.web.people_facts import person_id

HOSTILE_NAME = "<img src=x onerror=document.title='caught'>"
HTML_NAME = "&lt;img src=x onerror"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people of the clip, one under a name that is HTML."""
    folder = tmp_path_factory.mktemp("gallery")
    path = folder / "gallery.db"
    run("gallery", "init", path)
    names = {"bomber-jacket": HOSTILE_NAME, "brown-jacket": "brown-jacket"}
    photos = campus.write_photos(campus.people(*names), folder, campus.ENROLLED_BEFORE)
    for person, name in names.items():
        run("gallery", "enroll", name, *photos[person], "--gallery", path)
    return path


def run(*words: object) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([str(word) for word in words])


@pytest.fixture(scope="module")
def camera() -> MjpegCamera:
    with pytest.MonkeyPatch.context() as patch, MjpegCamera(walkers()) as served:
        patch.setattr(mjpeg_camera, "PERIOD_S", 0.1)
        yield served


def settings_of(gallery: Path, camera: MjpegCamera, **web: object) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "site": "lab",
            "agent": "device",
            "gallery": gallery,
            "cameras": {"gate": {"source": {"uri": camera.url}, "detect": {"rate_hz": 3}}},
            "web": {"listen": "127.0.0.1:0"} | web,
        }
    )


def jpegs(client: PageClient, count: int) -> list[np.ndarray]:
    """The next pictures of the camera's stream."""
    response, pictures = client.open("/cameras/gate/live.mjpeg"), []
    while len(pictures) < count:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += response.read(1)
        body = response.read(int(head.split(b"Content-Length: ")[1]))
        pictures.append(cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR))
        response.read(2)
    response.close()
    return pictures


def test_whoever_is_on_the_device_sees_who_is_there_and_why(
    gallery: Path, camera: MjpegCamera
) -> None:
    def look(run: PageRun) -> None:
        client = PageClient(run.page.url)
        live = client.get("/")
        assert live.status == 200
        assert 'data-camera="gate"' in live.body
        assert "Log out" not in live.body, "nobody logs in"
        assert live.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in live.headers["content-security-policy"]
        known = hit_of(client, HOSTILE_NAME)
        status = next(client.events("status"))
        (gate,) = status["cameras"]
        assert gate["state"] == "running"
        assert status["device"]["people"] == 2
        assert status["device"]["broker"] == "none configured"
        assert known["similarity"] >= known["threshold"]
        crop = client.get(f"/hits/{known['number']}/crops/{known['crop']}.jpg")
        assert crop.headers["content-type"] == "image/jpeg"
        why = client.get(f"/hits/{known['number']}").body
        assert HOSTILE_NAME not in why
        assert "&lt;img src=x" in why
        assert "brown-jacket" in why, "the next person"
        assert "from the measurements of the model" in why
        pictures_are_made_only_for_lookers(run, client)
        client.get("/")
        assert client.post("/crops/forget").status == 303
        assert client.get(f"/hits/{known['number']}/crops/{known['crop']}.jpg").status == 404

    visit(settings_of(gallery, camera), look)


def test_who_is_removed_from_the_gallery_is_gone_from_the_page(
    gallery: Path, camera: MjpegCamera, tmp_path: Path
) -> None:
    own = Path(shutil.copy(gallery, tmp_path))

    def remove(run: PageRun) -> None:
        client = PageClient(run.page.url)
        known = hit_of(client, HOSTILE_NAME)
        other = hit_of(client, None)
        eventually(lambda: kept_for(own, HOSTILE_NAME) > 0, timeout_s=20)
        kept_hits_are_listed_and_opened(client)
        assert HTML_NAME in client.get(f"/hits/{other['number']}").body, "the most alike"
        with GalleryStore.open(own) as store:
            store.remove(HOSTILE_NAME)
        # Gone or, as a visit goes on and is decided anew, somebody else's.
        pages = [f"/hits/{hit['number']}" for hit in (known, other)]
        eventually(
            lambda: all(HTML_NAME not in client.get(page).body for page in pages), timeout_s=20
        )
        hits = next(client.events("hits"))
        assert HOSTILE_NAME not in {hit["identity"] for hit in hits}
        eventually(lambda: kept_for(own, HOSTILE_NAME) == 0, timeout_s=20)

    settings = settings_of(own, camera, keep_crops_s=3600)
    visit(settings, remove)
    assert list(settings.kept_hits_path.iterdir()), "others stay"
    unwanted = settings_of(own, camera)
    with LivePage(unwanted, unwanted.web):
        assert list(settings.kept_hits_path.iterdir()) == []


def kept_for(gallery: Path, identity: str) -> int:
    """Files on disk that name somebody, with quotes so that it is a whole name."""
    folder = gallery.with_name("hits-device")
    return sum(json.dumps(identity) in path.read_text() for path in folder.glob("*.json"))


def test_a_person_takes_their_hits_along_to_another_name_and_back(
    gallery: Path, camera: MjpegCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copy(gallery, tmp_path))
    monkeypatch.setattr(live_page, "TIDY_S", 0.02)  # before the agent has read the gallery anew

    def rename(run: PageRun) -> None:
        client = PageClient(run.page.url)
        hit_of(client, HOSTILE_NAME)
        eventually(lambda: kept_for(own, HOSTILE_NAME) > 0, timeout_s=20)
        before = set(stems_of(own, HOSTILE_NAME))
        path = f"/people/{person_id(HOSTILE_NAME)}"
        client.get(path)
        assert client.post(f"{path}/rename", name="Anna").status == 303
        there_after_a_reload(own, client, "Anna", before)
        undo = re.search('name="number" value="([0-9]+)"', client.get("/people").body)
        assert undo is not None
        assert client.post("/people/undo", number=undo[1]).status == 303
        there_after_a_reload(own, client, HOSTILE_NAME, before)

    visit(settings_of(own, camera, keep_crops_s=600), rename)


def test_a_merge_that_is_taken_back_gives_each_their_own_hits_again(
    gallery: Path, camera: MjpegCamera, tmp_path: Path
) -> None:
    own = Path(shutil.copy(gallery, tmp_path))
    with GalleryStore.open(own) as store:
        names = {one.identity for one in store.identities()}
    (other,) = names - {HOSTILE_NAME}

    def merge(run: PageRun) -> None:
        client = PageClient(run.page.url)
        number = hit_of(client, HOSTILE_NAME)["number"]
        eventually(lambda: kept_for(own, HOSTILE_NAME) > 0, timeout_s=20)
        before = set(stems_of(own, HOSTILE_NAME))
        path = f"/people/{person_id(HOSTILE_NAME)}/merge/{person_id(other)}"
        client.get(path)
        assert client.post(path).status == 303
        assert kept_for(own, HOSTILE_NAME) == 0, "they are the other's for now"
        undo = re.search('name="number" value="([0-9]+)"', client.get("/people").body)
        assert undo is not None
        assert client.post("/people/undo", number=undo[1]).status == 303
        there_after_a_reload(own, client, HOSTILE_NAME, before)
        hits = next(client.events("hits"))
        assert number in {hit["number"] for hit in hits if hit["identity"] == HOSTILE_NAME}

    visit(settings_of(own, camera, keep_crops_s=600), merge)


def there_after_a_reload(gallery: Path, client: PageClient, name: str, stems: set[str]) -> None:
    """Whether hits are that person's once the agent has the gallery in which the name stands."""
    with GalleryStore.open(gallery) as store:
        version = store.version
    eventually(
        lambda: next(client.events("status"))["device"]["gallery_version"] == version, timeout_s=20
    )
    time.sleep(0.2)  # of many looks at who is gone
    assert stems <= set(stems_of(gallery, name))


def stems_of(gallery: Path, name: str) -> list[str]:
    """Of the hits of a person that are kept on disk."""
    folder, said = gallery.with_name("hits-device"), f'"identity": {json.dumps(name)}'
    return [path.stem for path in folder.glob("*.json") if said in path.read_text()]


def kept_hits_are_listed_and_opened(client: PageClient) -> None:
    listed = client.get("/kept").body
    assert HTML_NAME in listed
    assert HOSTILE_NAME not in listed
    path = listed.split('<img src="')[1].split('"')[0]
    assert client.get(path).headers["content-type"] == "image/jpeg"
    opened = client.get(path.partition("/crops")[0]).body
    assert "Crops, the best first" in opened
    assert "This was not" not in opened, "that is for hits of this run"
    for nonsense in ("/kept/..%2f..%2fetc", "/kept/hit-1", "/kept/%2e%2e/crops/0.jpg"):
        assert client.get(nonsense).status == 404


def hit_of(client: PageClient, identity: str | None) -> dict:
    for hits in client.events("hits"):
        for hit in hits:
            if hit["identity"] == identity:
                return hit
    raise AssertionError("the page closed")


def pictures_are_made_only_for_lookers(run: PageRun, client: PageClient) -> None:
    before = run.page.pictures_made
    time.sleep(1)
    assert run.page.pictures_made == before, "nobody looks"
    began_s = time.monotonic()
    pictures = jpegs(client, 5)
    assert time.monotonic() - began_s > 0.75, "at most five a second"
    assert {picture.shape for picture in pictures} == {(576, 768, 3)}
    eventually(lambda: run.page.pictures_made <= before + 6, timeout_s=1)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A certificate that signed itself, and its key."""
    return certificate(tmp_path_factory.mktemp("tls"))


def certificate(folder: Path) -> dict[str, Path]:
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "device.local")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1))
    signed = made.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    return {"cert_file": folder / "cert.pem", "key_file": folder / "key.pem"}


def test_who_has_no_login_or_no_right_gets_nothing(
    gallery: Path, camera: MjpegCamera, tls: dict[str, Path], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123\n")
    users = {
        "vera": {"role": "viewer", "password_hash": str(PasswordHash.of(PASSWORD))},
        "otto": {"role": "operator", "password_hash": str(PasswordHash.of(PASSWORD))},
    }
    web = {"token_file": token, "users": users, **tls}

    def attack(run: PageRun) -> None:
        strangers_get_nothing(PageClient(run.page.url))
        forms_of_others_do_nothing(run.page.url)
        roles_hold(run.page.url)
        sessions_end(run.page.url)
        wrong_names_get_nothing(run.page.url)
        guesses_are_slowed_down(run.page.url)

    visit(settings_of(gallery, camera, **web), attack)


def strangers_get_nothing(client: PageClient) -> None:
    assert client.get("/").headers["location"] == "/login"
    for path in ("/events", "/cameras/gate/live.mjpeg", "/hits/1", "/hits/1/crops/0.jpg"):
        assert client.ask("GET", path).status == 401, path
    client.cookie = "made-up"
    assert client.ask("GET", "/events").status == 401
    for path in ("/static/../page_routes.py", "/static/%2e%2e/live_page.py", "/static/login.html"):
        assert client.ask("GET", path).status == 404, path
    assert client.ask("PUT", "/login").status == 405
    assert client.ask("GET", "/" + "a" * 40_000).status in {400, 404}


def logged_in(url: str, name: str, secret: str) -> PageClient:
    client = PageClient(url)
    client.get("/login")
    before = client.cookie
    answer = client.post("/login", name=name, secret=secret)
    assert answer.status == 303, answer.body
    assert client.cookie != before, "a cookie that somebody else knew is worth nothing"
    for word in ("HttpOnly", "SameSite=strict", "Secure"):
        assert word in answer.headers["set-cookie"]
    client.get("/")
    return client


def forms_of_others_do_nothing(url: str) -> None:
    client = logged_in(url, "otto", PASSWORD)
    other = logged_in(url, "vera", PASSWORD)
    assert client.post("/crops/forget", form_token="").status == 403
    assert client.post("/crops/forget", form_token=other.form_token).status == 403
    assert client.post("/crops/forget", {"origin": "https://evil.example"}).status == 403
    assert client.post("/crops/forget", {"sec_fetch_site": "cross-site"}).status == 403
    assert client.post("/crops/forget", junk="x" * 5000).status == 403
    assert client.get("/crops/forget").status == 405
    assert client.post("/crops/forget").status == 303


def roles_hold(url: str) -> None:
    vera = logged_in(url, "vera", PASSWORD)
    assert "Forget all crops" not in vera.get("/").body
    assert vera.post("/crops/forget").status == 403
    assert vera.post("/hits/1/not-this-person", identity="anna").status == 403
    assert vera.get("/cameras/gate/areas").status == 403
    assert "/cameras/gate/areas" not in vera.get("/").body
    holder = logged_in(url, "", "0123456789abcdef0123")
    assert "token (admin)" in holder.get("/").body
    areas = holder.get("/cameras/gate/areas")
    assert areas.status == 200
    assert "[cameras.gate]</code> with" not in areas.body, "it has that table"
    assert holder.get("/cameras/yard/areas").status == 404


def sessions_end(url: str) -> None:
    client = logged_in(url, "vera", PASSWORD)
    stream = client.open("/events")
    stream.readline()
    known, client.form_token = client.cookie, client.form_token
    assert client.post("/logout").status == 303
    client.cookie = known
    assert client.ask("GET", "/events").status == 401
    began_s = time.monotonic()
    while stream.read(1):
        assert time.monotonic() < began_s + 5, "the stream goes on after the logout"


def wrong_names_get_nothing(url: str) -> None:
    client = PageClient(url)
    client.get("/login")
    for name, secret in (("vera", "wrong password"), ("<b>nobody</b>", PASSWORD), ("", "0" * 20)):
        answer = client.post("/login", name=name, secret=secret)
        assert answer.status == 401
        assert "<b>nobody" not in answer.body
    assert client.post("/login", name="vera", secret=PASSWORD).status == 303


def guesses_are_slowed_down(url: str) -> None:
    """Two have failed under other names, and vera has logged in since: they count all the same."""
    client = PageClient(url)
    client.get("/login")
    answers = [client.post("/login", name="vera", secret="guess") for _ in range(4)]
    assert [answer.status for answer in answers] == [401] * 3 + [429]
    assert int(answers[-1].headers["retry-after"]) > 30
    assert client.post("/login", name="vera", secret=PASSWORD).status == 429


def test_guesses_that_come_slowly_are_not_let_in_all_at_once(
    gallery: Path, camera: MjpegCamera
) -> None:
    vera = {"role": "viewer", "password_hash": str(PasswordHash.of(PASSWORD))}
    settings = settings_of(gallery, camera, users={"vera": vera})
    assert settings.web is not None
    with LivePage(settings, settings.web) as page, ExitStack() as stack:
        client = PageClient(page.url)
        client.get("/login")
        form = urlencode({"form_token": client.form_token, "name": "vera", "secret": "guess"})
        slow = [stack.enter_context(closing(client.connection())) for _ in range(20)]
        for one in slow:
            one.putrequest("POST", "/login")
            for name, value in {
                "cookie": f"edge_reid_session={client.cookie}",
                "origin": client.origin,
                "content-type": "application/x-www-form-urlencoded",
                "content-length": str(len(form)),
            }.items():
                one.putheader(name, value)
            one.endheaders(form[:-1].encode())
        time.sleep(0.3)  # until all have been asked who they are
        for one in slow:
            one.send(form[-1:].encode())
        statuses = [one.getresponse().status for one in slow]
    assert sorted(statuses) == [401] * 5 + [429] * 15


def test_a_number_of_thousands_of_digits_is_nothing_that_is_here(
    gallery: Path, camera: MjpegCamera, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(gallery, camera)
    assert settings.web is not None
    with LivePage(settings, settings.web) as page:
        for path in ("/hits/{}", "/crops/{}.jpg", "/cameras/gate/tracks/{}"):
            assert PageClient(page.url).get(path.format("9" * 5000)).status == 404
    assert caplog.text == "", "else anybody could fill the log"


def test_another_site_cannot_have_its_name_lead_here(gallery: Path, camera: MjpegCamera) -> None:
    def rebind(run: PageRun) -> None:
        client = PageClient(run.page.url)
        assert client.get("/", host="evil.example").status == 421
        assert client.get("/", host="localhost:1234").status == 200

    visit(settings_of(gallery, camera), rebind)


def test_the_frames_go_on_whatever_is_done_to_the_page(gallery: Path, camera: MjpegCamera) -> None:
    def storm(run: PageRun) -> None:
        eventually(lambda: len(run.frames.at_s) > 10, timeout_s=60)
        calm, before_mb = gaps_s(run, 4), resident_mb()
        port = int(run.page.url.rsplit(":", 1)[1].strip("/"))
        with ExitStack() as stack:
            stormy_from = len(run.frames.at_s)
            for number in range(200):
                stack.enter_context(rude_connection(port, number))
            stormy = gaps_s(run, 4)
            assert len(run.frames.at_s) > stormy_from
            assert resident_mb() < before_mb + 64, "each connection may hold little"
        calm += gaps_s(run, 4)  # what else runs on this machine may have begun meanwhile
        assert np.median(stormy) < 1.5 * np.median(calm) + 0.05, "frames come as before"
        assert max(stormy) < max(calm) + 0.5, "none is held up"
        eventually(lambda: is_served(run.page.url), timeout_s=20)

    visit(settings_of(gallery, camera), storm)


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (size_kb,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return size_kb / 1024


def is_served(url: str) -> bool:
    """Whether the page answers; while too many connections are open it closes those that come."""
    with suppress(OSError):
        return PageClient(url).get("/").status == 200
    return False


def gaps_s(run: PageRun, seconds: float) -> list[float]:
    """Times between frames, over so long."""
    first = len(run.frames.at_s)
    time.sleep(seconds)
    return np.diff(run.frames.at_s[first:]).tolist()


def rude_connection(port: int, number: int) -> socket.socket:
    """Asks for a stream and reads nothing, or asks half a question, or nothing at all."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    host = b"Host: 127.0.0.1\r\n"
    questions = (
        b"GET /cameras/gate/live.mjpeg HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /events HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host,
        b"",
    )
    with suppress(OSError):  # it was refused, as there are too many
        connection.sendall(questions[number % 4])
    return connection


def test_who_takes_nothing_or_asks_nothing_is_let_go(
    gallery: Path, camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "STALL_S", 1.0)
    monkeypatch.setattr(connection_limits, "REQUEST_S", 1.0)

    def dawdle(run: PageRun) -> None:
        port = int(run.page.url.rsplit(":", 1)[1].strip("/"))
        with ExitStack() as stack:
            silent = [stack.enter_context(rude_connection(port, number)) for number in (2, 3)]
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", port))
            slow.sendall(b"GET /cameras/gate/live.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            eventually(lambda: all(is_gone(connection) for connection in silent), timeout_s=5)
            eventually(lambda: is_reset(slow), timeout_s=20)

    visit(settings_of(gallery, camera), dawdle)


def is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed it; what it said before is read."""
    connection.setblocking(False)
    try:
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def is_reset(connection: socket.socket) -> bool:
    """The same, of a connection of which nothing is ever read."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


@pytest.mark.parametrize("path", ["/no/such/page", "/hits/999", "/cameras/yard/areas"])
def test_what_is_not_there_is_told_on_a_page_that_leads_back(
    path: str, gallery: Path, camera: MjpegCamera
) -> None:
    settings = settings_of(gallery, camera)
    with LivePage(settings, settings.web) as page:
        client = PageClient(page.url)
        answer = client.get(path)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert '<a href="/">← Live</a>' in answer.body
        assert "There is no such thing here, or not any more." in answer.body
        assert '<link rel="stylesheet" href="/static/page.css">' in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        program = client.ask("GET", path)
        assert (program.status, program.body) == (
            404,
            "there is no such thing here, or not any more",
        )


def test_an_address_of_a_form_and_what_is_forbidden_are_told_on_a_page_too(
    gallery: Path, camera: MjpegCamera
) -> None:
    settings = settings_of(gallery, camera)
    with LivePage(settings, settings.web) as page:
        client = PageClient(page.url)
        by_address = client.get("/crops/forget")
        assert (by_address.status, by_address.headers["allow"]) == (405, "POST")
        assert "This is no page by itself: a form leads here." in by_address.body
        from_elsewhere = client.post(
            "/crops/forget", {"origin": "https://evil.example", "accept": "text/html"}
        )
        assert (from_elsewhere.status, "Not allowed." in from_elsewhere.body) == (403, True)
