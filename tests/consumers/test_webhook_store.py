"""Events to a real web server over TLS: signed, in order, tried again, and never anywhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.decided_tracks import STRANGER, an_event
from support.webhook_receiver import DRIBBLE, HANG, VANISH, WebhookReceiver

from edge_reid.consumers import webhook_store
from edge_reid.consumers.event_store import RejectedEventError, StoreUnavailableError
from edge_reid.consumers.store_urls import open_store
from edge_reid.consumers.webhook_signature import read_secret
from edge_reid.consumers.webhook_store import WebhookStore, WebhookTarget
from edge_reid.core.errors import StoreError, UsageError

SECRET = b"correct horse battery staple"
EVENTS = [an_event(1).payload(1), an_event(2, STRANGER).payload(2), an_event(3).payload(3)]
IDS = [event.event_id for event in EVENTS]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WebhookReceiver]:
    with WebhookReceiver(tmp_path) as receiver:
        yield receiver


@pytest.fixture
def target(receiver: WebhookReceiver, tmp_path: Path) -> WebhookTarget:
    return WebhookTarget(receiver.url, SECRET, tmp_path / "refused.jsonl", receiver.ca_file)


@pytest.fixture
def store(target: WebhookTarget, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookStore]:
    monkeypatch.setattr(webhook_store, "RETRY_S", (0.2, 0.4))
    store = open_store("https://…", target)
    assert isinstance(store, WebhookStore)
    yield store
    store.close()


def ids(receiver: WebhookReceiver) -> list[str]:
    return [post.event["event_id"] for post in receiver.posts]


def test_an_event_is_posted_as_it_is_and_signed(
    store: WebhookStore, receiver: WebhookReceiver
) -> None:
    assert store.write(EVENTS) == 3
    for event, post in zip(EVENTS, receiver.posts, strict=True):
        assert post.path == "/events?token=abc"
        assert post.body == event.to_json().encode()
        assert post.headers["Content-Type"] == "application/json"
        at, digest = re.fullmatch(
            r"t=(\d+),v1=([0-9a-f]{64})", post.headers["X-EdgeReid-Signature"]
        ).groups()  # type: ignore[union-attr]
        assert abs(int(at) - time.time()) < 30
        assert hmac.new(SECRET, f"{at}.".encode() + post.body, hashlib.sha256).hexdigest() == digest


def test_what_was_taken_is_not_sent_again(store: WebhookStore, receiver: WebhookReceiver) -> None:
    assert store.write(EVENTS[:2]) == 2
    assert store.write(EVENTS) == 1
    assert ids(receiver) == IDS


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_who_cannot_take_an_event_now_is_asked_again_and_the_order_stays(
    store: WebhookStore, receiver: WebhookReceiver, status: int
) -> None:
    receiver.answer = lambda count: status if count in {2, 3} else 200
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match=f"expected status 2xx, got {status}"):
            store.write(EVENTS)
        asked = len(receiver.posts)
        with pytest.raises(StoreUnavailableError):  # the pause is not over: nobody is asked
            store.write(EVENTS)
        assert len(receiver.posts) == asked
        time.sleep(0.45)
    store.write(EVENTS)
    assert ids(receiver) == [IDS[0], IDS[1], IDS[1], IDS[1], IDS[2]]


def test_a_server_that_asks_for_time_gets_it(
    store: WebhookStore, receiver: WebhookReceiver
) -> None:
    receiver.answer, receiver.extra_headers = (lambda count: 429), {"Retry-After": "30"}
    with pytest.raises(StoreUnavailableError):
        store.write(EVENTS)
    assert 25 < store._due_s - time.monotonic() <= 30


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_is_refused_for_good_is_quarantined_and_said_and_the_next_one_goes(
    store: WebhookStore, receiver: WebhookReceiver, target: WebhookTarget, status: int
) -> None:
    receiver.answer = lambda count: status if count in {1, 3} else 200
    with pytest.raises(RejectedEventError, match=rf"got {status} .* lies in .*refused\.jsonl"):
        store.write(EVENTS[:1])
    assert store.write(EVENTS[1:2]) == 1
    with pytest.raises(RejectedEventError):  # offered once more, by its agent
        store.write(EVENTS[:1])
    assert target.quarantine.read_text() == EVENTS[0].to_json() + "\n"
    assert target.quarantine.stat().st_mode & 0o777 == 0o600
    assert ids(receiver) == [IDS[0], IDS[1], IDS[0]]


def test_a_redirect_is_not_followed(store: WebhookStore, receiver: WebhookReceiver) -> None:
    receiver.answer = lambda count: 307
    receiver.extra_headers = {"Location": "http://127.0.0.1/elsewhere"}
    with pytest.raises(StoreUnavailableError, match="got 307 .*; give the final address"):
        store.write(EVENTS)
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("how", [HANG, DRIBBLE])
def test_a_server_that_never_ends_its_answer_is_left(
    store: WebhookStore,
    receiver: WebhookReceiver,
    monkeypatch: pytest.MonkeyPatch,
    how: int,
) -> None:
    monkeypatch.setattr(webhook_store, "DEADLINE_S", 0.3)
    receiver.answer = lambda count: how if count == 1 else 200
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="gives no answer"):
        store.write(EVENTS)
    assert time.monotonic() - began_s < 5
    time.sleep(0.25)
    assert store.write(EVENTS) == 3
    assert ids(receiver) == [IDS[0], *IDS]


def test_a_connection_that_was_kept_and_is_gone_costs_nothing(
    store: WebhookStore, receiver: WebhookReceiver
) -> None:
    store.write(EVENTS[:1])
    receiver.stop()
    receiver.start()
    assert store.write(EVENTS) == 2
    receiver.answer = lambda count: VANISH if count == 4 else 200
    assert store.write([EVENTS[0], an_event(4).payload(4)]) == 1, "asked twice"


def test_a_server_that_hangs_up_on_who_says_nothing_is_no_trouble(
    store: WebhookStore, receiver: WebhookReceiver
) -> None:
    for event in EVENTS:
        assert store.write([event]) == 1
        time.sleep(0.8)  # the receiver waits half a second
    assert ids(receiver) == IDS


def test_nobody_there_and_back_again(store: WebhookStore, receiver: WebhookReceiver) -> None:
    receiver.stop()
    with pytest.raises(StoreUnavailableError, match=r"127.0.0.1:\d+/…: gives no answer: .*refused"):
        store.write(EVENTS)
    receiver.start()
    time.sleep(0.25)
    assert store.write(EVENTS) == 3


def test_a_server_that_we_do_not_trust_hears_nothing(
    target: WebhookTarget, receiver: WebhookReceiver
) -> None:
    store = WebhookStore(replace(target, ca_file=None))
    with pytest.raises(StoreUnavailableError, match="certificate verify failed"):
        store.write(EVENTS)
    assert receiver.posts == []
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/x", "https:", "https://127.0.0.1:99999/x", "https://[::1/x"),
        *("https://me:s3cret@127.0.0.1/x", "https://:s3cret@127.0.0.1/x"),
        *("https://127.0.0.1/größe", "https://127.0.0.1/two words", "https://127.0.0.1/\r\nx"),
    ],
)
def test_an_address_that_is_none(target: WebhookTarget, url: str) -> None:
    with pytest.raises(UsageError, match="expected https://HOST/PATH without a login") as caught:
        WebhookStore(replace(target, url=url))
    assert "s3cret" not in str(caught.value)


def test_a_file_of_certificates_that_is_missing(target: WebhookTarget, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--to-ca-file .*ca\.pem: no such file; give the CA"):
        WebhookStore(replace(target, ca_file=tmp_path / "ca.pem"))


def test_a_file_that_holds_no_certificates(target: WebhookTarget, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(UsageError, match=r"--to-ca-file .*ca\.pem: expected certificates"):
        WebhookStore(replace(target, ca_file=tmp_path / "ca.pem"))


def test_a_quarantine_that_cannot_be_written_is_said_before_anything_is_sent(
    target: WebhookTarget, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        WebhookStore(replace(target, quarantine=tmp_path / "no" / "folder.jsonl"))


def test_a_secret_that_can_be_guessed_is_none(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with pytest.raises(UsageError, match="expected a file that can be read, got: No such file"):
        read_secret(file)
    file.write_text("short\n")
    with pytest.raises(UsageError, match="expected 16 characters or more, got 5"):
        read_secret(file)
    file.write_bytes(SECRET + b"\n")
    assert read_secret(file) == SECRET


def test_no_message_shows_the_path_which_may_be_a_secret(
    store: WebhookStore, receiver: WebhookReceiver, target: WebhookTarget
) -> None:
    receiver.answer = lambda count: 500
    with pytest.raises(StoreUnavailableError) as caught:
        store.write(EVENTS)
    assert "token" not in f"{caught.value} {target} {json.dumps(str(target))}"
