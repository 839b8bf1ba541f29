"""Spellings of earlier releases are refused, and the new one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.in_process import edge_reid  # noqa: F401 - a fixture
from support.outcome import Outcome
from support.sites import SITE, write_site

from deploy.site.site import load_site
from edge_reid.core.errors import ConfigError

Run = Callable[..., Outcome]


def test_a_site_with_boxes_is_told_that_they_are_devices(tmp_path: Path) -> None:
    text = SITE.replace("[devices.", "[boxes.")
    assert "[boxes.gate-1" in text
    with pytest.raises(ConfigError, match=r"boxes: is called devices now: \[devices\.NAME\]"):
        load_site(write_site(tmp_path, text))


def test_a_bundle_for_a_box_is_for_a_device(edge_reid: Run) -> None:  # noqa: F811
    words = ("--config", "site.toml", "--out", "gate-1.tar.zst")
    outcome = edge_reid("bundle", *words, "--box", "gate-1")
    assert outcome.code == 2
    assert "bundle: expected --device gate-1, got --box gate-1" in outcome.complaint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("--box", "gate-1"), "expected --device gate-1, got --box gate-1"),
        (("--box", "gate-1", "--device", "/dev/sdb"), "expected --device gate-1, got --box gate-1"),
        (("--device", "/dev/sdb"), "the card that is written to is --card /dev/sdb"),
        ((), "expected --device NAME"),
    ],
)
def test_a_card_is_not_a_device_and_a_device_no_box(
    edge_reid: Run,  # noqa: F811
    old: tuple[str, ...],
    new: str,
) -> None:
    words = ("--config", "site.toml", "--bundle", "gate-1.tar.zst", "--image", "pi.img")
    outcome = edge_reid("flash", *words, *old)
    assert outcome.code == 2
    assert new in outcome.complaint
