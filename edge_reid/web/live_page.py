"""The live page: an observer of the run, and the web server that shows what it has seen."""

from __future__ import annotations

import threading

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.observers import Observer
from edge_reid.agent.pipeline import Step
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.web_settings import WebSettings
from edge_reid.web.kept_hits import KeptHits, forget_kept
from edge_reid.web.live_view import LiveView
from edge_reid.web.page_routes import PageRoutes
from edge_reid.web.page_server import PageServer
from edge_reid.web.run_seen import RunSeen

TIDY_S = 5.0
"""Between two looks at which crops are too old, and who is not enrolled any more."""


class LivePage(Observer):
    """Shows a run to browsers. `with` starts and ends its threads.

    Args:
        settings: of the agent.
        web: of the page.

    Raises:
        UsageError: it cannot listen there.
        ConfigError: a token, a hash or a certificate is none.
    """

    def __init__(self, settings: AgentSettings, web: WebSettings) -> None:
        self._kept = _kept_hits(settings, web)
        self._run = RunSeen(LiveView(web.crops_memory_s, kept=self._kept), self._kept)
        self._routes = PageRoutes(settings, web, self._run)
        self._server = PageServer(self._routes.app(), web)
        self._closing = threading.Event()
        self._tidying = threading.Thread(target=self._tidy, name="page crops", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    @property
    def pictures_made(self) -> int:
        """How many live pictures were drawn and encoded so far."""
        return self._routes.pictures.made

    def __enter__(self) -> LivePage:
        self._server.__enter__()
        self._tidying.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run.is_over = True
        self._closing.set()
        self._server.__exit__()
        self._routes.close()

    def opened(self, parts: AgentParts, /) -> None:
        """The agent is built."""
        self._run.parts = parts

    def stepped(self, step: Step, /) -> None:
        """A frame went through."""
        if self._run.parts:
            self._run.view.take(step, self._run.parts.policies.of(step.camera).current)

    def _tidy(self) -> None:
        while not self._closing.wait(TIDY_S):
            if self._run.parts:
                index = self._run.parts.policies.index
                self._run.view.tidy(index)
                taken = self._run.parts.wrong_names.done
                self._run.view.note_taken_back({one.name for one in taken})
                if self._kept:
                    self._kept.age()
                    self._kept.forget_gone(index)
                    self._run.view.drop_files(self._kept.files)


def _kept_hits(settings: AgentSettings, web: WebSettings) -> KeptHits | None:
    if web.keep_crops_s is None:
        forget_kept(settings.kept_hits_path)
        return None
    return KeptHits(
        settings.kept_hits_path, keep_s=web.keep_crops_s, max_bytes=web.keep_crops_max_bytes
    )
