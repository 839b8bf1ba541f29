"""The dashboard asks for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from support.gallery_examples import snapshot_of, unit_vectors
from support.policies import policy_of

from edge_reid.agent.agent_parts import AgentParts
from edge_reid.agent.camera_policies import CameraPolicies
from edge_reid.agent.frame_jobs import FrameJobs
from edge_reid.agent.policy import PolicyHolder
from edge_reid.agent.prometheus_collector import AgentCollector
from edge_reid.agent.wrong_names import WrongNames
from edge_reid.delivery.publisher import AgentFacts
from edge_reid.matching.index import Index

DASHBOARD = Path(__file__).parents[2] / "deploy/grafana/edge-reid.json"
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
OF_THE_SCRAPE = {"instance"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def families() -> dict[str, Metric]:
    """By the name of each series."""
    policies = CameraPolicies(
        {"gate": PolicyHolder(policy_of(Index(snapshot_of(unit_vectors(1)))))}
    )
    parts = AgentParts(
        "lab",
        "device",
        (),
        policies,
        None,
        None,
        AgentFacts("0" * 16, 1, 0.0),
        WrongNames((), FrameJobs(), policies, None),
    )
    return {
        family.name + suffix: family
        for family in AgentCollector(parts).collect()
        for suffix in SUFFIXES[family.type]
    }


def queries(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def series(query: str) -> list[str]:
    return re.findall(r"\b(?:edge_reid|process)_\w+", query)


def test_every_series_that_is_asked_for_is_there(
    board: dict[str, Any], families: dict[str, Metric]
) -> None:
    asked = {name for query in queries(board) for name in series(query)}
    assert asked <= families.keys() | OF_THE_PROCESS


def test_every_family_is_shown(board: dict[str, Any], families: dict[str, Metric]) -> None:
    asked = {name for query in queries(board) for name in series(query)}
    shown = {families[name].name for name in asked & families.keys()}
    assert shown == {family.name for family in families.values()}


def test_labels_are_those_of_the_series(board: dict[str, Any], families: dict[str, Metric]) -> None:
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            known = {"le"} | OF_THE_SCRAPE
            for name in set(series(target["expr"])) & families.keys():
                known |= set(families[name]._labelnames)
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            named = re.findall(r"{{(\w+)}}", target["legendFormat"])
            chosen = re.findall(r"(\w+)=~", target["expr"])
            of_groups = {label.strip() for labels in grouped for label in labels.split(",")}
            assert {*named, *chosen} | of_groups <= known, target["expr"]
            assert not grouped or set(named) <= of_groups, target["expr"]


def test_every_name_of_a_metric_is_as_prometheus_wants_it(families: dict[str, Metric]) -> None:
    for name, family in families.items():
        assert re.fullmatch(r"edge_reid_[a-z_]+", name)
        assert family.documentation.endswith("."), name
        assert not re.search(r"_(ms|mb|percent|minutes)(_|$)", name), "base units"


def test_no_panel_lies_on_another(board: dict[str, Any]) -> None:
    for one, other in combinations([panel["gridPos"] for panel in board["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert one["x"] + one["w"] <= 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
