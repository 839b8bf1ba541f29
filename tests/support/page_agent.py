"""A real agent with its page, on a live camera that shows the campus clip, in this process."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import cv2
import pytest
from support import campus
from support.consumer import eventually

from edge_reid.agent.app import Outputs, run_agent
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.opencv import to_rgb
from edge_reid.core.types import Image
from edge_reid.web.live_page import LivePage


def walkers(first_frame: int = 240, frames: int = 60) -> tuple[Image, ...]:
    """Seconds of the clip in which people walk through the picture."""
    capture = cv2.VideoCapture(str(campus.CLIP))
    capture.set(cv2.CAP_PROP_POS_FRAMES, first_frame)
    pictures = tuple(to_rgb(capture.read()[1]) for _ in range(frames))
    capture.release()
    return pictures


class StepTimes(Observer):
    """When each frame went through; monotonic."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def stepped(self, step: Step, /) -> None:
        self.at_s.append(time.monotonic())


@dataclass
class PageRun:
    """A page that is being served."""

    page: LivePage
    frames: StepTimes = field(default_factory=StepTimes)


def visit(
    settings: AgentSettings, visitor: Callable[[PageRun], None], *, events: Path | None = None
) -> None:
    """Run an agent and its page; in another thread have them visited, and then press Ctrl-C."""
    outputs = Outputs(events=str(events) if events else None)
    assert settings.web is not None
    failures: list[BaseException] = []
    with LivePage(settings, settings.web) as page:
        run = PageRun(page)

        def visit_and_end() -> None:
            try:
                visitor(run)
            except BaseException as error:
                failures.append(error)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=visit_and_end, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run_agent(settings, outputs=outputs, observers=[page, run.frames])
    if failures:
        raise failures[0]


@dataclass
class Answer:
    """What the page answered."""

    status: int
    headers: dict[str, str]
    body: str


class PageClient:
    """Asks as a browser does: with its cookie, and the token of the last form it was given."""

    def __init__(self, url: str) -> None:
        self.origin = url.rstrip("/")
        self.cookie = ""
        self.form_token = ""
        parts = urlsplit(url)
        self._host, self._is_tls = parts.netloc, parts.scheme == "https"

    def ask(self, method: str, path: str, body: str | bytes = "", **headers: str) -> Answer:
        """One request; header names are written with `_`."""
        with closing(self.connection()) as connection:
            connection.request(method, path, body or None, self._headers(headers))
            response = connection.getresponse()
            answer = Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read().decode("utf-8", "replace"),
            )
        self._remember(answer)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **{"accept": "text/html", **headers})

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """Send a form with the token; `form_token` among the fields replaces it."""
        form = urlencode({"form_token": self.form_token} | fields)
        kind = {"content_type": "application/x-www-form-urlencoded", "origin": self.origin}
        return self.ask("POST", path, form, **(kind | (headers or {})))

    def upload(self, path: str, photo: bytes, file: str = "photo.png", /, **fields: str) -> Answer:
        """Send a form with a photo, as `post` does."""
        limit = "----limit"
        parts = [
            f'--{limit}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in ({"form_token": self.form_token} | fields).items()
        ]
        parts.append(
            f'--{limit}\r\nContent-Disposition: form-data; name="photo"; filename="{file}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = "".join(parts).encode() + photo + f"\r\n--{limit}--\r\n".encode()
        kind = f"multipart/form-data; boundary={limit}"
        return self.ask("POST", path, body, content_type=kind, origin=self.origin)

    def open(self, path: str) -> HTTPResponse:
        """A stream, which the caller closes."""
        connection = self.connection()
        connection.request("GET", path, headers=self._headers({}))
        return connection.getresponse()

    def events(self, kind: str) -> Iterator[Any]:
        """The values of the events of this kind."""
        response = self.open("/events")
        assert response.status == 200, response.status
        with closing(response):
            wanted = False
            for line in response:
                if line.startswith(b"event: "):
                    wanted = line.strip() == f"event: {kind}".encode()
                elif wanted and line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def connection(self) -> HTTPConnection:
        if not self._is_tls:
            return HTTPConnection(self._host, timeout=20)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection(self._host, timeout=20, context=trusting)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return named | ({"cookie": f"edge_reid_session={self.cookie}"} if self.cookie else {})

    def _remember(self, answer: Answer) -> None:
        if given := answer.headers.get("set-cookie", ""):
            self.cookie = given.split("edge_reid_session=")[1].split(";")[0].strip('"')
        if 'name="form_token" value="' in answer.body:
            self.form_token = answer.body.split('name="form_token" value="')[1].split('"')[0]


def first_stranger(client: PageClient) -> str:
    """The name of somebody unknown who has been in the picture and has left."""
    found: list[str] = []

    def look() -> bool:
        listed = client.get("/strangers").body
        found.extend(re.findall(r'/strangers/(anon-[0-9a-f]{6}-[0-9]+)"', listed))
        return bool(found)

    eventually(look, timeout_s=60)
    return found[0]
