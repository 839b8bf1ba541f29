"""`edge-reid flash --image … --card …` on block devices of the kernel's own making."""

from __future__ import annotations

import lzma
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cards import (
    BOOT_BYTES,
    BOOT_START,
    CMDLINE,
    MIB,
    card,
    get,
    names,
    pi_image,
    small_disk,
    tool,
    used_card,
)
from support.first_boots import new_device
from support.flashing import AGENT_KEY, PASSWORD, PSK, Job, job

CARD_BYTES = 80 * MIB


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is downloaded."""
    folder = tmp_path_factory.mktemp("image")
    plain = pi_image(folder / "raspios.img", cloud_init=True)
    path = folder / "raspios.img.xz"
    path.write_bytes(lzma.compress(plain.read_bytes(), preset=0))
    return path


@pytest.fixture
def order(tmp_path: Path) -> Job:
    return job(tmp_path / "site")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A card that has been used, without one zero byte."""
    with card(used_card(tmp_path / "card", CARD_BYTES)) as path:
        yield path


def plain(image: Path) -> bytes:
    return image.with_suffix("").read_bytes()


def outside_boot(disk: bytes, size: int) -> tuple[bytes, bytes]:
    """All of an image's place on a disk but the boot partition."""
    return disk[:BOOT_START], disk[BOOT_START + BOOT_BYTES : size]


def test_an_empty_card_becomes_the_image_and_is_seeded(
    order: Job, image: Path, device: Path
) -> None:
    done = order.flash("--image", image, "--card", device, "--really", device)
    assert done.code == 0, done.err
    expected = plain(image)
    assert outside_boot(device.read_bytes(), len(expected)) == outside_boot(expected, len(expected))
    assert names(device) == {
        *("cmdline.txt", "cmdline.txt.before-edge-reid", "config.txt", "kernel8.img"),
        *("user-data", "meta-data", "network-config"),
        *("edge-reid/box.tar", "edge-reid/settings", "edge-reid/setup.sh"),
        *("edge-reid/wifi.nmconnection", "edge-reid/cable.nmconnection"),
        *("edge-reid/authorized_keys", "edge-reid/edge-reid-setup.service"),
    }
    assert get(device, "kernel8.img") == b"a kernel\n" * 10_000
    assert AGENT_KEY in get(device, "edge-reid/box.tar")
    assert PSK.encode() in get(device, "edge-reid/wifi.nmconnection")
    assert get(device, "cmdline.txt.before-edge-reid") == CMDLINE.encode()
    assert b"ds=nocloud;i=edge-reid-" in get(device, "cmdline.txt")
    assert "read back" in done.out
    assert f"device gate-1 of lab (pi-trixie), release 1.0: {image.name} onto {device}" in done.out


def test_what_lies_on_the_card_starts_a_device(
    order: Job, image: Path, device: Path, tmp_path: Path
) -> None:
    assert order.flash("--image", image, "--card", device, "--really", device).code == 0
    with new_device(tmp_path / "device", cloud_init=True) as started:
        tool("mcopy", "-s", "-n", "-o", "-i", f"{device}@@{BOOT_START}", "::/", started.boot)
        started.start_by_cloud_init(["sh", "/boot/firmware/edge-reid/setup.sh", "first-boot"])
        started.start()
        assert started.log[-1] == "installed; the agents of this device are running"
        assert not (started.boot / "edge-reid").exists()


def test_nothing_secret_is_said_or_left_on_the_workstation(
    order: Job, image: Path, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    done = order.flash("--image", image, "--card", device, "--really", device)
    assert done.code == 0
    assert PSK not in done.out + done.err
    assert PASSWORD not in done.out + done.err
    assert PASSWORD.encode() not in device.read_bytes()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_dry_run_writes_nothing_and_says_what_it_would(
    order: Job, image: Path, device: Path
) -> None:
    before = device.read_bytes()
    done = order.flash("--image", image, "--card", device, "--really", device, "--dry-run")
    assert done.code == 0, done.err
    assert device.read_bytes() == before
    assert f"would write {len(plain(image))} bytes" in done.out
    assert "user-data" in done.out, "the image is looked into, also packed"
    for name in ("box.tar", "wifi.nmconnection", "settings", "setup.sh"):
        assert f"edge-reid/{name}" in done.out
    assert done.out.count("secret: wiped at first boot") == 2
    assert PSK not in done.out


def test_what_is_on_the_card_already_is_not_written_again(
    order: Job, image: Path, device: Path
) -> None:
    words = ("--image", image, "--card", device, "--really", device)
    assert order.flash(*words).code == 0
    again = order.flash(*words)
    assert again.code == 0
    # the boot partition was seeded, so it is not the image's any more; and the first chunk goes
    # with everything else, so that a card left half-way does not start up
    (line,) = [line for line in again.out.splitlines() if line.startswith("image written")]
    written, kept = (int(word.split()[0]) for word in line.split(": ")[1].split(", "))
    assert 4 <= written <= 4 + BOOT_BYTES / 1e6 + 8
    assert written + kept == pytest.approx(len(plain(image)) / 1e6, abs=1)
    assert written < kept


def test_killed_half_way_the_card_does_not_start_and_the_same_command_goes_on(
    order: Job, image: Path, device: Path, tmp_path: Path
) -> None:
    words = ["--image", image, "--card", device, "--really", device]
    command = [
        *(sys.executable, "-c", "from edge_reid.cli.main import main; main()"),
        *("flash", "--config", order.config, "--device", order.device, "--bundle", order.bundle),
    ]
    before = device.read_bytes()
    process = subprocess.Popen(
        [*map(str, command), *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # it cannot tidy up
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with device.open("rb") as file:
            if file.read(MIB) != before[:MIB]:
                break
    process.send_signal(signal.SIGKILL)
    process.wait()
    half = device.read_bytes()
    assert half[:512] == bytes(512), "no partition table: nothing to start from"
    assert half[20 * MIB :] != plain(image)[20 * MIB :]
    assert order.flash(*words).code == 0
    expected = plain(image)
    assert outside_boot(device.read_bytes(), len(expected)) == outside_boot(expected, len(expected))


def test_a_card_that_fails_half_way_is_said_with_its_place(
    order: Job, image: Path, tmp_path: Path
) -> None:
    """The device promises more than there is behind it, as forged cards do."""
    with small_disk(tmp_path / "tight", 3 * MIB) as folder:
        (folder / "card").touch()
        os.truncate(folder / "card", CARD_BYTES)
        with card(folder / "card") as device:
            done = order.flash("--image", image, "--card", device, "--really", device)
            assert done.code == 1
            assert f"{device}: writing failed about byte" in done.complaint
            assert "Input/output error; look after card, reader and cable" in done.complaint


def test_a_card_too_small_is_left_as_it_is(order: Job, image: Path, tmp_path: Path) -> None:
    with card(used_card(tmp_path / "small", 32 * MIB)) as device:
        done = order.flash("--image", image, "--card", device, "--really", device)
        assert done.code == 1
        assert f"has room for {32 * MIB} bytes, and the image needs" in done.complaint
        assert device.read_bytes() == b"\xa5" * (32 * MIB)


def test_a_damaged_image_leaves_the_card_as_it_is(order: Job, image: Path, device: Path) -> None:
    body = bytearray(image.read_bytes())
    body[len(body) // 2] ^= 1
    broken = image.with_name("broken.img.xz")
    broken.write_bytes(body)
    done = order.flash("--image", broken, "--card", device, "--really", device)
    assert done.code == 1
    assert "broken.img.xz: is damaged" in done.complaint
    assert device.read_bytes() == b"\xa5" * CARD_BYTES


def test_a_loop_device_is_no_card_unless_it_is_named_twice(
    order: Job, image: Path, device: Path
) -> None:
    done = order.flash("--image", image, "--card", device)
    assert done.code == 1
    assert "is not removable" in done.complaint
    assert f"--card {device} --really {device}" in done.complaint
    assert device.read_bytes() == b"\xa5" * CARD_BYTES


def test_a_mounted_card_is_refused(order: Job, image: Path, device: Path, tmp_path: Path) -> None:
    tool("mkfs.ext4", "-q", "-F", device)
    (tmp_path / "mounted").mkdir()
    tool("mount", device, tmp_path / "mounted")
    try:
        done = order.flash("--image", image, "--card", device)
    finally:
        tool("umount", tmp_path / "mounted")
    assert done.code == 1
    assert f"is mounted at {tmp_path}/mounted; unmount it" in done.complaint


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--image", "a.img"),
        ("--card", "/dev/sdz"),
        ("--boot", "x", "--host", "y"),
        ("--image", "a.img", "--card", "/dev/sdz", "--boot", "x"),
        ("--boot", "x", "--really", "/dev/sdz"),
    ],
)
def test_one_way_must_be_chosen(order: Job, words: tuple[str, ...]) -> None:
    done = order.flash(*words)
    assert done.code == 2
    assert "expected one of --image IMG --card /dev/sdX, --boot FOLDER or --host" in (
        done.complaint
    )
