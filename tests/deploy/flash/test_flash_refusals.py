"""What `edge-reid flash` does not do, and that nothing is changed then."""

from __future__ import annotations

import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from support.cards import CMDLINE, MIB, boot_folder, card, pi_image, put, small_disk, used_card
from support.flashing import CARRIED, Job, job
from support.small_bundles import CONTENTS, KEY, manifest, spoiled

from deploy.bundle.bundle_writer import Content, write_bundle
from deploy.flash.boot_partition import BootFolder, BootVolume
from edge_reid.core.errors import FlashError
from edge_reid.signing.keys import SigningKey


@pytest.fixture
def trixie(tmp_path: Path) -> Path:
    return boot_folder(tmp_path / "bootfs", cloud_init=True)


@pytest.fixture
def order(tmp_path: Path) -> Job:
    return job(tmp_path / "site")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()
    }


@pytest.mark.parametrize("missing", ["cmdline.txt", "config.txt"])
def test_a_folder_that_is_no_boot_partition_is_left_alone(
    order: Job, trixie: Path, missing: str
) -> None:
    (trixie / missing).unlink()
    before = contents(trixie)
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert f"expected the boot partition of a Raspberry Pi, got no {missing}" in done.complaint
    assert contents(trixie) == before


def test_no_folder_is_no_boot_partition(order: Job, tmp_path: Path) -> None:
    done = order.flash("--boot", tmp_path / "nowhere")
    assert done.code == 1
    assert "got no cmdline.txt" in done.complaint


def test_what_imager_has_customised_is_not_overwritten(
    tmp_path: Path, order: Job, trixie: Path
) -> None:
    (trixie / "cmdline.txt").write_text(f"{CMDLINE.strip()} ds=nocloud;i=rpi-imager-17\n")
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert "was customised by Raspberry Pi Imager" in done.complaint
    other = boot_folder(tmp_path / "other", cloud_init=False)
    (other / "firstrun.sh").write_text("#!/bin/bash\nset +e\n", encoding="utf-8")
    done = job(tmp_path / "site", "pi-bookworm").flash("--boot", other)
    assert done.code == 1
    assert "was customised by Raspberry Pi Imager" in done.complaint


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    large = CARRIED | {"models/large.tflite": Content(os.urandom(3 * MIB))}
    order = job(tmp_path / "site", contents=large)
    with small_disk(tmp_path / "tight", 2 * MIB) as disk:
        boot = boot_folder(disk / "bootfs", cloud_init=True)
        before = contents(boot)
        done = order.flash("--boot", boot)
        assert done.code == 1
        assert "expected room for 4 MB, got 2 MB; take a fresh card" in done.complaint
        assert contents(boot) == before


def test_a_card_that_is_full_after_all_does_not_start_half_set_up(tmp_path: Path) -> None:
    """FAT needs more for many files than their bytes: it may say no on the way."""
    large = CARRIED | {"models/large.tflite": Content(os.urandom(3 * MIB))}
    image = pi_image(tmp_path / "card.img", cloud_init=True)
    volume = BootVolume(image, 4 * MIB, lambda: None)
    fill = volume.free_bytes() - MIB // 2
    put(image, "fill", "x" * fill)
    order = job(tmp_path / "site", contents=large)
    with (
        order.bundle.open("rb") as file,
        pytest.raises(FlashError, match="box.tar: cannot be written: .*No space left"),
    ):
        volume.write("edge-reid/box.tar", file, lambda _: None)
    assert volume.read("cmdline.txt") == CMDLINE.encode()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"box": "yard-1"}, "expected one for device gate-1, got one for device yard-1"),
        ({"site": "field"}, "expected one for site lab, got one for site field"),
        ({"target": "jetson-jp6"}, "expected one for target pi-trixie, got one for target jets"),
    ],
)
def test_a_bundle_for_another_device_is_refused(
    tmp_path: Path, trixie: Path, changes: dict[str, str], complaint: str
) -> None:
    order = job(tmp_path / "site")
    other = manifest(CONTENTS, **({"target": "pi-trixie"} | changes))
    write_bundle(order.bundle, other, CONTENTS, KEY)
    before = contents(trixie)
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert complaint in done.complaint
    assert contents(trixie) == before


def test_a_bundle_of_another_key_is_refused(tmp_path: Path, trixie: Path) -> None:
    done = job(tmp_path / "site", key=SigningKey.generate()).flash("--boot", trixie)
    assert done.code == 1
    assert "the signature is not of the pinned key" in done.complaint


def test_a_tampered_bundle_is_refused(order: Job, trixie: Path) -> None:
    spoiled(order.bundle, lambda them: [*them[:2], (them[2][0], b'site = "evil"'), *them[3:]])
    before = contents(trixie)
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert "bundle" in done.complaint
    assert contents(trixie) == before


def test_a_device_that_is_not_of_the_site_is_said(order: Job, trixie: Path) -> None:
    done = Job(order.config, order.bundle, "gate-9").flash("--boot", trixie)
    assert done.code == 2
    assert "device gate-9: expected one of gate-1, yard-1" in done.complaint


def test_mistakes_of_the_site_are_all_said(order: Job, trixie: Path) -> None:
    text = order.config.read_text(encoding="utf-8").replace("rate_hz = 2", "rate_hz = -2")
    order.config.write_text(text.replace('country = "DE"', 'country = "Germany"'), encoding="utf-8")
    done = order.flash("--boot", trixie)
    assert done.code == 2
    assert "wifi.country" in done.err
    assert "agent.detect.rate_hz" in done.err


def test_a_jetson_does_not_start_from_such_a_card(tmp_path: Path, trixie: Path) -> None:
    done = job(tmp_path / "site", "jetson-jp6").flash("--boot", trixie)
    assert done.code == 2
    assert "is a jetson-jp6" in done.complaint
    assert "use --host" in done.complaint


MISFITS = [
    ("pi-bookworm", True, "expected Pi OS bookworm"),
    ("pi-trixie", False, "expected Pi OS trixie with cloud-init"),
]


@pytest.mark.parametrize(("target", "cloud_init", "complaint"), MISFITS)
def test_a_device_is_not_put_on_the_other_generation(
    tmp_path: Path, target: str, *, cloud_init: bool, complaint: str
) -> None:
    boot = boot_folder(tmp_path / "bootfs", cloud_init=cloud_init)
    before = contents(boot)
    done = job(tmp_path / "site", target).flash("--boot", boot)
    assert done.code == 1
    assert complaint in done.complaint
    assert contents(boot) == before


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("target", "cloud_init", "complaint"), MISFITS)
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_an_image_of_the_other_generation_is_never_written(
    tmp_path: Path,
    target: str,
    complaint: str,
    dry_run: tuple[str, ...],
    *,
    cloud_init: bool,
    packed: bool,
) -> None:
    image = pi_image(tmp_path / "raspios.img", cloud_init=cloud_init)
    if packed:
        image = image.with_suffix(".img.xz")
        image.write_bytes(lzma.compress(image.with_suffix("").read_bytes(), preset=0))
    with card(used_card(tmp_path / "card", 80 * MIB)) as device:
        words = ("--image", image, "--card", device, "--really", device)
        done = job(tmp_path / "site", target).flash(*words, *dry_run)
        assert done.code == 1
        assert complaint in done.complaint
        assert f"boot partition of {image}" in done.complaint
        assert device.read_bytes() == b"\xa5" * 80 * MIB


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_without_mtools_no_card_is_touched(
    tmp_path: Path, order: Job, monkeypatch: pytest.MonkeyPatch, dry_run: tuple[str, ...]
) -> None:
    image, card = pi_image(tmp_path / "raspios.img", cloud_init=True), tmp_path / "card"
    card.write_bytes(b"photographs")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    done = order.flash("--image", image, "--card", card, "--really", card, *dry_run)
    assert done.code == 1
    assert "mtools: is not installed here; apt install mtools" in done.complaint
    assert card.read_bytes() == b"photographs"


class WornCard(BootFolder):
    """Keeps other bytes of `cmdline.txt` than were written; memory still has the right ones."""

    remembered: bytes | None = None

    def read(self, name: str) -> bytes | None:
        return (name == "cmdline.txt" and self.remembered) or super().read(name)

    def write(self, name: str, source: IO[bytes], wrote: Callable[[int], None]) -> None:
        super().write(name, source, wrote)
        if name == "cmdline.txt":
            self.remembered = super().read(name)
            Path(self.where, name).write_bytes(b"\0" * len(self.remembered or b""))


def test_what_sets_all_off_is_read_back_from_the_card_itself(
    order: Job, trixie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.flash.flash_words.BootFolder", WornCard)
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert "cmdline.txt reads back other bytes; take another card" in done.complaint


def test_without_a_bundle_nothing_is_done(order: Job, trixie: Path) -> None:
    order.bundle.unlink()
    before = contents(trixie)
    done = order.flash("--boot", trixie)
    assert done.code == 1
    assert "No such file" in done.complaint
    assert contents(trixie) == before
