"""Every error survives the way to another process: whole, and as what it is."""

from __future__ import annotations

import pickle

import pytest

from edge_reid.core import errors
from edge_reid.core.errors import ConfigError, EdgeReidError, VideoError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EdgeReidError)
]


def an_error(kind: type[EdgeReidError]) -> EdgeReidError:
    """One as the code makes them."""
    if issubclass(kind, ConfigError):
        return kind("agent.toml", ["site: is missing", "camera: is missing"])
    if issubclass(kind, VideoError):
        return kind("clip.mp4", "no such file")
    return kind("expected a gallery, got none; make one")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_can_be_pickled(kind: type[EdgeReidError]) -> None:
    error = an_error(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args) == (str(error), error.args)
    assert vars(again) == vars(error)
    assert again.exit_code == error.exit_code


def test_what_is_noted_on_an_error_stays() -> None:
    error = VideoError("clip.mp4", "no such file")
    error.place = "gate"  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(error)).place == "gate"
