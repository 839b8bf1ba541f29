"""The workstation's side of `edge-reid flash`, which the CLI looks up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.flash import boot_files
from deploy.flash.boot_files import BootFiles
from deploy.flash.boot_partition import Boot, BootFolder, BootVolume, need_mtools
from deploy.flash.card import inspect, refuse_unless_named_twice
from deploy.flash.first_boot import FirstBoot
from deploy.flash.flash_job import FlashJob, asked_for
from deploy.flash.flash_progress import bar, say
from deploy.flash.image import Image
from deploy.flash.image_writer import check_image, write_image
from deploy.flash.partitions import Partition, boot_partition
from deploy.flash.raw_disk import Disk
from deploy.flash.remote import Found, Remote, connected
from edge_reid.core.errors import FlashError

_ROOM = 5
"""A device needs about so many times the bundle: packed, unpacked, installed beside what runs."""


def to_card(
    job: FlashJob, image_file: Path, card_path: Path, *, really: Path | None, dry_run: bool
) -> None:
    """Write an image onto a card, read it back, and seed it."""
    job.check_starts_from_card()
    need_mtools()
    image = Image.open(image_file)
    partition = boot_partition(image.partitions(), str(image_file))
    card = inspect(card_path)
    refuse_unless_named_twice(card, image.size_bytes, really)
    say(f"{job.title}: {image_file.name} onto {card.title}")
    with job.bundle.tar() as tar:
        first = job.first_boot(tar, asks=not dry_run)
        with _looked_into(image, partition) as boot:  # before a byte of it is written
            wanted = _planned(job, first, boot)
        if dry_run:
            say(
                f"would write {image.size_bytes} bytes and read them back; on its boot partition it"
            )
            _show(wanted)
            return
        with Disk.opened(card_path, in_use_too=card.is_in_use) as disk:
            _copy(image, disk)
            _write_boot_files(job, first, BootVolume(card_path, partition.start_bytes, disk.forget))
    say(f"done: put the card into {job.device} and switch it on")


def to_boot(job: FlashJob, folder: Path, *, dry_run: bool) -> None:
    """Seed the boot partition of a card that was written already."""
    job.check_starts_from_card()
    say(f"{job.title}: onto {folder}")
    boot = BootFolder(folder)
    with job.bundle.tar() as tar:
        first = job.first_boot(tar, asks=not dry_run)
        if dry_run:
            _show(_planned(job, first, boot))
            return
        _write_boot_files(job, first, boot)
    say(f"done: eject the card, put it into {job.device} and switch it on")


def to_host(job: FlashJob, destination: str, *, ssh_config: Path | None, dry_run: bool) -> None:
    """Install on a device that runs, over ssh."""
    say(f"{job.title}: onto {destination}")
    with connected(destination, ssh_config) as remote:
        found = remote.look()
        _refuse_misfit(job, destination, found)
        if found.manifest_sha256 == job.bundle.manifest_sha256:
            say("nothing to do: this very release is installed")
            return
        _refuse_full(job, destination, found)
        if dry_run:
            say(
                f"would send {job.bundle.manifest.size_bytes / 1e6:.0f} MB to /var/tmp there, "
                "run its installer as root, and remove them again"
            )
            return
        _install(job, remote, found)
        if remote.look().manifest_sha256 != job.bundle.manifest_sha256:
            raise FlashError(
                f"{destination}: the installer ended well, and another release is in force; "
                "`systemctl status 'edge-reid*'` there says why"
            )
    say(f"done: {job.device} runs release {job.bundle.manifest.version}")


@contextmanager
def _looked_into(image: Image, partition: Partition) -> Iterator[BootVolume]:
    """The boot partition of an image, to read; unpacked beside if it has to be."""
    if not image.is_packed:
        yield BootVolume(image.path, partition.start_bytes)
        return
    with TemporaryDirectory(prefix="edge-reid-") as folder:
        copy = Path(folder) / "boot.img"
        _unpack(image, partition, copy)
        yield BootVolume(copy, 0, of=image.path)


def _unpack(image: Image, partition: Partition, copy: Path) -> None:
    try:
        with copy.open("wb") as file, bar("looking into the image") as progress:
            image.copy_partition(partition, file, progress)
    except OSError as error:
        raise FlashError(
            f"{image.path}: its boot partition cannot be unpacked: {error.strerror}; make room "
            "for it, or set TMPDIR to where there is some"
        ) from error


def _copy(image: Image, disk: Disk) -> None:
    with bar("checking the image") as progress:
        digests = image.digests(progress)
    with bar(f"writing {disk.path}") as progress:
        done = write_image(image, digests, disk, progress)
    with bar(f"reading back {disk.path}") as progress:
        check_image(image, digests, disk, progress)
    say(
        f"image written and read back: {done.written_bytes / 1e6:.0f} MB written, "
        f"{done.kept_bytes / 1e6:.0f} MB were there"
    )


def _planned(job: FlashJob, first: FirstBoot, boot: Boot) -> BootFiles:
    wanted = boot_files.plan(first, boot)
    if wanted.has_cloud_init and job.bundle.manifest.target == "pi-bookworm":
        raise FlashError(
            f"{boot.where}: expected Pi OS bookworm, as device {job.device} has target "
            "pi-bookworm, got cloud-init, so trixie or newer; take the other image, or target "
            "pi-trixie"
        )
    if not wanted.has_cloud_init and job.bundle.manifest.target == "pi-trixie":
        raise FlashError(
            f"{boot.where}: expected Pi OS trixie with cloud-init, as device {job.device} has "
            "target pi-trixie, got none; take the newest image of trixie, or target pi-bookworm"
        )
    return wanted


def _write_boot_files(job: FlashJob, first: FirstBoot, boot: Boot) -> None:
    wanted = _planned(job, first, boot)
    with bar(f"seeding {boot.where}") as progress:
        size_bytes = boot_files.write(wanted, boot, progress)
    way = "cloud-init" if wanted.has_cloud_init else "firstrun.sh"
    say(
        f"seeded for {way} and read back: {size_bytes / 1e6:.1f} MB written"
        if size_bytes
        else f"seeded for {way} already: nothing to write"
    )


def _show(wanted: BootFiles) -> None:
    say("would write, and read back")
    for file in wanted.files:
        secret = "  secret: wiped at first boot" if file.is_secret else ""
        say(f"  {file.name:<36} {file.size_bytes:>12} bytes{secret}")
    say(f"  cmdline.txt: {wanted.cmdline.strip()}")


def _refuse_misfit(job: FlashJob, destination: str, found: Found) -> None:
    manifest = job.bundle.manifest
    if (found.machine, found.python) != (manifest.machine, manifest.python):
        raise FlashError(
            f"{destination}: expected Python {manifest.python} on {manifest.machine}, as "
            f"{manifest.target} has, got Python {found.python} on {found.machine}; "
            "give the device its own target in the site's file, and make its bundle anew"
        )


def _refuse_full(job: FlashJob, destination: str, found: Found) -> None:
    needed = _ROOM * job.bundle.manifest.size_bytes
    if found.free_bytes < needed:
        raise FlashError(
            f"{destination}: expected {needed / 1e6:.1f} MB of room in /var/tmp, got "
            f"{found.free_bytes / 1e6:.1f} MB; make room there"
        )


def _install(job: FlashJob, remote: Remote, found: Found) -> None:
    password = None
    if found.becomes_root == "password":
        password = asked_for(
            f"Password of sudo on {remote.destination}: ",
            "let this user sudo without one, or log in as another",
        )
    try:
        with job.bundle.tar() as tar, bar(f"sending to {remote.destination}") as progress:
            remote.send(tar, progress)
        for line in remote.install(tar, found.becomes_root, password):
            say(f"  {line}")
    finally:
        remote.clear()
