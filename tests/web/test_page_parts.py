"""The parts of the page that need no agent: who may come in, and what is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.set_clock import Clock

from edge_reid.cli.optional_values import filled
from edge_reid.core.config.settings_file import load_settings, parse_section
from edge_reid.core.config.web_settings import WebSettings
from edge_reid.core.errors import ConfigError
from edge_reid.core.geometry import Box
from edge_reid.core.types import Crop, Embedding
from edge_reid.web.attempt_limit import FAILURES_EACH, FAILURES_OF_ALL, AttemptLimit
from edge_reid.web.crop_ring import MOST_BYTES, CropRing
from edge_reid.web.page_access import ANYBODY_HERE, PageAccess, Visitor
from edge_reid.web.page_markup import PageFrame
from edge_reid.web.page_sessions import LASTS_S, MOST, PageSessions
from edge_reid.web.page_templates import areas_html
from edge_reid.web.password_hash import PasswordHash

VERA = Visitor("vera", "viewer")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"listen": "0.0.0.0:8480"}, "token_file: is missing"),
        ({"listen": "0.0.0.0:8480", "token_file": "t"}, "cert_file: is missing"),
        ({"behind_proxy": True}, "token_file: is missing"),
        ({"cert_file": "c"}, "both or not at all"),
        ({"cert_file": "c", "key_file": "k", "behind_proxy": True}, "one of them is TLS"),
        ({"listen": "8480"}, "should look like 127.0.0.1:"),
        ({"users": {"vera": {"password_hash": "secret"}}}, "not a password"),
    ],
)
def test_a_page_that_others_reach_asks_who_they_are_and_speaks_tls(
    given: dict, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_section(WebSettings, given)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_files_of_the_page_lie_beside_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "lab"\ncamera = "gate"\ngallery = "g.db"\nsource.uri = "0"\n'
        '[web]\ntoken_file = "token"\n'
    )
    web = load_settings(config, {"web": {"listen": "127.0.0.1:1"}}).web
    assert web is not None
    assert (web.token_file, web.port) == (tmp_path / "token", 1)


def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    for text in ("", "short\n0123456789abcdef\n"):
        token.write_text(text)
        with pytest.raises(ConfigError, match="expected at least 16 characters in its first line"):
            PageAccess(WebSettings(token_file=token))


def test_a_password_is_known_again_by_its_hash_alone() -> None:
    made = PasswordHash.of("correct horse")
    read = PasswordHash.parse(str(made))
    assert read == made
    assert read.is_of("correct horse")
    assert not read.is_of("correct horsf")
    assert str(PasswordHash.of("correct horse")) != str(made), "each has a salt of its own"


@pytest.mark.parametrize("cost", ["3", "0", str(1 << 20), "x"])
def test_a_hash_that_would_take_the_memory_of_the_device_is_refused(cost: str) -> None:
    _, _, *rest = str(PasswordHash.of("whatever it is")).split("$")
    with pytest.raises(ConfigError, match="make it anew"):
        PasswordHash.parse("$".join(("scrypt", cost, *rest)))


def test_the_program_that_hashes_prints_what_the_configuration_takes() -> None:
    program = [sys.executable, "-m", "edge_reid.web.password_hash"]
    done = subprocess.run(
        program, input="long enough\n", capture_output=True, text=True, check=True
    )
    assert PasswordHash.parse(done.stdout.strip()).is_of("long enough")
    short = subprocess.run(program, input="short\n", capture_output=True, text=True, check=False)
    assert short.returncode == 1
    assert "expected at least 10 characters, got 5" in short.stderr
    asked = subprocess.run([*program, "--help"], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "takes no options: it asks for a password" in asked.stderr


def test_sessions_end_by_time_by_number_and_by_wish(clock: Clock) -> None:
    sessions = PageSessions(clock)
    first = sessions.begin(VERA)
    assert sessions.visitor(first) == VERA
    sessions.end(first)
    assert sessions.visitor(first) is None
    second = sessions.begin(VERA)
    clock.now_s += LASTS_S + 1
    assert sessions.visitor(second) is None
    third = sessions.begin(VERA)
    for _ in range(MOST):
        sessions.begin(VERA)
    assert sessions.visitor(third) is None


def test_a_form_token_is_of_one_cookie_and_one_start() -> None:
    sessions = PageSessions()
    token = sessions.form_token("anna's cookie")
    assert sessions.is_form_token("anna's cookie", token)
    assert not sessions.is_form_token("ben's cookie", token)
    assert not sessions.is_form_token(None, sessions.form_token(""))
    assert not sessions.is_form_token("anna's cookie", "ü" + token)
    assert not PageSessions().is_form_token("anna's cookie", token)


def test_attempts_are_limited_by_address_and_of_all(clock: Clock) -> None:
    attempts = AttemptLimit(clock)
    for _ in range(FAILURES_EACH):
        assert attempts.wait_s("10.0.0.1") == 0
        attempts.begin("10.0.0.1", "vera")
    assert attempts.wait_s("10.0.0.1") == 60
    assert attempts.wait_s("10.0.0.2") == 0
    clock.now_s += 61
    assert attempts.wait_s("10.0.0.1") == 0
    for number in range(FAILURES_OF_ALL):
        attempts.begin(f"10.1.0.{number}", "vera")
    assert attempts.wait_s("10.0.0.2") > 0, "many addresses are one attacker"


def test_a_login_takes_back_what_failed_of_its_name_and_of_no_other(clock: Clock) -> None:
    attempts = AttemptLimit(clock)
    proxy = "10.0.0.1"
    for name in ("vera", "otto", "vera", "otto"):
        attempts.begin(proxy, name)
    attempts.succeeded(attempts.begin(proxy, "vera"))
    for _ in range(FAILURES_EACH - 2):
        assert attempts.wait_s(proxy) == 0
        attempts.begin(proxy, "vera")
    assert attempts.wait_s(proxy) == 60, "those of otto count"


def crop_of(seed: int, height_px: int = 100) -> tuple[Crop, Embedding]:
    image = np.random.default_rng(seed).integers(0, 256, (height_px, height_px // 2, 3), np.uint8)
    box = Box(0, 0, height_px / 2, height_px)
    embedding = Embedding(np.ones(1, np.float32), "model", 0.5)
    return Crop(1, box, image, 0.5, 0.0), embedding


def test_crops_go_when_they_are_old_or_too_many(clock: Clock) -> None:
    ring = CropRing(600, clock)
    old = crop_of(0)
    ring.put("gate", *old)
    clock.now_s += 300
    young = crop_of(1)
    ring.put("gate", *young)
    clock.now_s += 301
    ring.age()
    assert ring.of(old[1]) is None
    kept = ring.of(young[1])
    assert kept is not None
    assert kept.jpeg.startswith(b"\xff\xd8")
    many = [crop_of(2, 320) for _ in range(MOST_BYTES // len(kept.jpeg) // 4)]
    for crop in many:
        ring.put("gate", *crop)
    held = [kept for _, embedding in many if (kept := ring.of(embedding))]
    assert ring.of(young[1]) is None
    assert sum(len(kept.jpeg) for kept in held) <= MOST_BYTES


def test_web_may_stand_without_an_address() -> None:
    assert filled(["run", "--web"]) == ["run", "--web", "127.0.0.1:8480"]
    assert filled(["--web", "[::1]:80", "--quiet"]) == ["--web", "[::1]:80", "--quiet"]


@pytest.mark.parametrize("is_short", [True, False])
def test_zones_for_a_camera_in_the_short_form_need_a_table(is_short: bool) -> None:
    page = areas_html(PageFrame("device", ANYBODY_HERE, "token"), "gate", is_short=is_short)
    assert ("<code>[cameras.gate]</code> with <code>source.uri</code>" in page) == is_short
