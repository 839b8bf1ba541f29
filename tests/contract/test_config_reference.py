"""Every key of agent.toml and of site.toml is explained, and the pages are those of the classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from deploy.site.site import Site
from deploy.site.site_reference import site_page
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.settings_file import read_toml
from edge_reid.core.config_reference import config_page, undocumented_keys

ROOT = Path(__file__).parents[2]
PAGES = {"edge_reid/core/CONFIG.md": config_page, "deploy/site/SITE.md": site_page}


@pytest.mark.parametrize("settings", [AgentSettings, Site])
def test_every_key_has_a_meaning_beneath_its_field(settings: type[BaseModel]):
    assert list(undocumented_keys(settings)) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_what_the_classes_say(page: str):
    assert (ROOT / page).read_text(encoding="utf-8") == PAGES[page](), "run make reference"


@pytest.mark.parametrize(
    ("page", "settings"), [(config_page, AgentSettings), (site_page, Site)], ids=["agent", "site"]
)
def test_the_page_has_a_row_for_every_key(page: Callable[[], str], settings: type[BaseModel]):
    text = page()
    for section, key in keys(settings.model_json_schema()):
        part = part_of(text, f"## `[{section}]`" if section else "## Keys before")
        if other := re.search(r"Keys as in (`\[[\w.]+\]`)", part):
            part += part_of(text, f"## {other[1]}")
        assert f"\n| `{key}` |" in part


def test_the_page_has_every_key_of_the_example():
    text = config_page()
    example = read_toml(ROOT / "deploy/agent.toml")
    for name, value in example.items():
        rows = value if isinstance(value, dict) else {name: value}
        assert all(f"| `{key}` |" in text for key in rows)
        assert not isinstance(value, dict) or f"## `[{name}]`" in text


def test_a_range_a_unit_and_a_default_are_told():
    row = next(
        line for line in config_page().splitlines() if line.startswith("| `stall_timeout_s`")
    )
    assert row.startswith(
        "| `stall_timeout_s` | float | s | > 0, ≤ 31622400 | `10` | A live source"
    )


def part_of(page: str, heading: str) -> str:
    return page.split(heading)[1].split("\n## ", maxsplit=1)[0]


def keys(schema: dict, section: str = "", defs: dict | None = None) -> Iterator[tuple[str, str]]:
    """(section, key) of a JSON Schema, by its own references: not by the code under test."""
    defs = defs or schema["$defs"]
    for key, value in schema["properties"].items():
        kinds = [value, *value.get("anyOf", ())]
        tables = [(kind["$ref"], "") for kind in kinds if "$ref" in kind]
        tables += [(kind["items"]["$ref"], "") for kind in kinds if "$ref" in kind.get("items", ())]
        named = [table for kind in kinds for table in kind.get("patternProperties", {}).values()]
        tables += [(table["$ref"], ".NAME") for table in named]
        for reference, many in tables:
            path = f"{section}.{key}".lstrip(".") + many
            yield from keys(defs[reference.rpartition("/")[2]], path, defs)
        if not tables:
            yield section, key
