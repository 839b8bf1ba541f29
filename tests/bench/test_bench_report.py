"""Sections of the benches' README are written by their scripts alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bench_report import README, markdown_table, write_section


def test_a_script_replaces_its_own_section_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# a\n<!-- a.py -->\nold\n<!-- end -->\nb\n<!-- b.py -->\n<!-- end -->\n")
    for _ in range(2):
        write_section("a.py", r"new \1", page)
    filled = "# a\n<!-- a.py -->\n\nnew \\1\n\n<!-- end -->\nb\n<!-- b.py -->\n<!-- end -->\n"
    assert page.read_text() == filled
    with pytest.raises(ValueError, match=r"expected one section <!-- c.py -->, got 0; add it"):
        write_section("c.py", "new", page)


def test_a_table_is_markdown() -> None:
    table = markdown_table(("who", "n"), [("a", "1"), ("b", "2")])
    assert table == "| who | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"


@pytest.mark.parametrize("script", ["cameras.py", "deep_sort.py"])
def test_those_that_write_have_a_section(script: str) -> None:
    assert README.read_text().count(f"<!-- {script} -->") == 1
    assert "write_section(" in README.with_name(script).read_text()
