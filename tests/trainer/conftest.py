"""Fixtures of runs: small people, a small recipe, a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.made_once import made_once
from support.small_runs import FREE, FROZEN, draw_people, shorten_networks, small_recipe

from trainer.recipe.recipe import Recipe

MakePeople = Callable[..., Path]


@pytest.fixture
def make_people(tmp_path: Path) -> MakePeople:
    """Draw a data set of a given name, number of people and pictures of each."""
    return lambda name="people", **counts: draw_people(tmp_path / name, **counts)


@pytest.fixture
def people(make_people: MakePeople) -> Path:
    return make_people()


@pytest.fixture(scope="module")
def short_network() -> Iterator[None]:
    """Networks are four blocks deep, to the end of the file."""
    from trainer.network.backbone import BLOCKS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BLOCKS, "mobilenetv2", BLOCKS["mobilenetv2"])  # put back afterwards
        shorten_networks()
        yield


@pytest.fixture
def recipe(short_network: None, people: Path, tmp_path: Path) -> Recipe:
    """Training of the new layers alone: quick."""
    return small_recipe(people, tmp_path / "start.npz", FROZEN)


@pytest.fixture(scope="module")
def trained(short_network: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two stages, trained by the verb."""
    return made_once(tmp_path_factory, "trained", _train) / "run"


def _train(folder: Path) -> None:
    from edge_reid.cli.main import main

    made = small_recipe(draw_people(folder / "people"), folder / "start.npz", FROZEN, FREE)
    (folder / "recipe.json").write_text(made.model_dump_json())
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--recipe", str(folder / "recipe.json"), "--out", str(folder / "run")])
