"""A device that is not to share strangers any more, whose file cannot be emptied now."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack, closing

import pytest
from support.sharing_device import MANIFEST

from edge_reid.agent.stranger_withdrawal import StrangerWithdrawal
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.strangers import heard_file
from edge_reid.strangers.heard_store import HeardStrangerStore

MODEL = {"model_id": MANIFEST.model_id, "dimension": MANIFEST.dimension}


@pytest.fixture
def settings(tmp_path):
    return AgentSettings.model_validate(
        {
            "site": "lab",
            "camera": "gate",
            "gallery": tmp_path / "gallery.db",
            "source": {"uri": "0"},
            "mqtt": {"url": "mqtt://broker.lab.example"},
        }
    )


def test_the_agent_starts_all_the_same_and_tries_again_at_the_next_start(
    settings, caplog, monkeypatch
):
    monkeypatch.setattr(heard_file, "BUSY_TIMEOUT_S", 0.1)
    path = settings.heard_strangers_path
    HeardStrangerStore.open_or_make(path, **MODEL).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder, ExitStack() as stack:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with caplog.at_level(logging.WARNING):
            StrangerWithdrawal.start(settings, MANIFEST, None, stack)
        (line,) = caplog.messages
        assert "locked by another program" in line
        assert "at the next start" in line
    with ExitStack() as stack:
        StrangerWithdrawal.start(settings, MANIFEST, None, stack)
    with HeardStrangerStore.open(path) as heard:
        assert heard.erased_through_utc_s is not None
