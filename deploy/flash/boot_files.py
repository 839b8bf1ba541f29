"""A boot partition made ready: what is written, in which order, read back and compared."""

from __future__ import annotations

import hashlib
import io
import secrets
from dataclasses import dataclass

from deploy.flash.boot_partition import Boot
from deploy.flash.cmdline import instance_of_imager, with_setup
from deploy.flash.first_boot import (
    BUNDLE,
    OPTIONAL,
    SETTINGS,
    BootFile,
    FirstBoot,
    cloud_init_files,
    first_run_files,
    instance_of,
    setup_files,
    setup_id_in,
)
from edge_reid.core.errors import FlashError
from edge_reid.core.progress import Progress, no_progress

CMDLINE = "cmdline.txt"
CMDLINE_BEFORE = "cmdline.txt.before-edge-reid"
_SLACK_BYTES = 1 << 20
"""For what FAT needs besides the bytes of the files."""


@dataclass(frozen=True, slots=True)
class BootFiles:
    """What is to be on the card."""

    has_cloud_init: bool
    """What the image on the card is set up by."""
    files: tuple[BootFile, ...]
    cmdline: str
    cmdline_before: str

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def plan(first: FirstBoot, boot: Boot) -> BootFiles:
    """What this device needs on this card.

    Raises:
        FlashError: it is no boot partition of a Pi, or was set up by somebody else.
    """
    before = _cmdline(boot)
    _refuse_anothers_setup(boot, before)
    there = setup_id_in(boot.read(SETTINGS))
    if there and _all_there(same := _plan(first, boot, before, there), boot):
        return same
    return _plan(first, boot, before, secrets.token_hex(8))


def _plan(first: FirstBoot, boot: Boot, cmdline: str, setup_id: str) -> BootFiles:
    has_cloud_init = boot.read("meta-data") is not None or boot.read("user-data") is not None
    line = with_setup(
        cmdline,
        first_run=not has_cloud_init,
        instance=instance_of(setup_id) if has_cloud_init else None,
        country=first.country,
    )
    own = cloud_init_files(first, setup_id) if has_cloud_init else first_run_files()
    return BootFiles(has_cloud_init, (*setup_files(first, setup_id), *own), line, cmdline)


def _all_there(wanted: BootFiles, boot: Boot) -> bool:
    return all(boot.sha256(file.name) == file.sha256 for file in wanted.files)


def write(wanted: BootFiles, boot: Boot, progress: Progress = no_progress) -> int:
    """Write what is not there yet; returns how many bytes. `cmdline.txt`, which sets it off, last.

    Raises:
        FlashError: there is no room, the card fails, or reads back something else.
    """
    _remove_anothers(wanted, boot)
    missing = [file for file in wanted.files if boot.sha256(file.name) != file.sha256]
    needed = sum(file.size_bytes for file in missing) + _SLACK_BYTES
    if missing and (free := boot.free_bytes()) < needed:
        raise FlashError(
            f"{boot.where}: expected room for {needed / 1e6:.0f} MB, got {free / 1e6:.0f} MB; "
            "take a fresh card, or remove what is not the system's"
        )
    done = 0
    for file in missing:
        _write_file(file, boot, _shifted(done, wanted.size_bytes, progress))
        done += file.size_bytes
    _set_off(wanted, boot)
    return done


def _write_file(file: BootFile, boot: Boot, progress: Progress) -> None:
    content = file.content
    if isinstance(content, bytes):
        boot.write(file.name, io.BytesIO(content), progress)
    else:
        with content.path.open("rb") as source:
            boot.write(file.name, source, progress)
    if boot.sha256(file.name) != file.sha256:
        raise FlashError(
            f"{boot.where}: {file.name} reads back other bytes than were written; "
            "the card is worn out: take another"
        )


def _shifted(before: int, total: int, progress: Progress) -> Progress:
    """The progress of one file, told as that of all."""
    return lambda done, _: progress(before + done, total)


def _remove_anothers(wanted: BootFiles, boot: Boot) -> None:
    """What another setup has left and this one has not, and another bundle, which takes room."""
    ours = {file.name: file.sha256 for file in wanted.files}
    for name in (BUNDLE, *OPTIONAL):
        found = boot.sha256(name)
        if found and found != ours.get(name):
            boot.remove(name)


def _set_off(wanted: BootFiles, boot: Boot) -> None:
    if wanted.cmdline == wanted.cmdline_before:
        return
    if boot.read(CMDLINE_BEFORE) is None:
        boot.write(CMDLINE_BEFORE, io.BytesIO(wanted.cmdline_before.encode()))
    boot.write(CMDLINE, io.BytesIO(wanted.cmdline.encode()))
    if boot.sha256(CMDLINE) != hashlib.sha256(wanted.cmdline.encode()).hexdigest():
        raise FlashError(f"{boot.where}: {CMDLINE} reads back other bytes; take another card")


def _cmdline(boot: Boot) -> str:
    line, settings = boot.read(CMDLINE), boot.read("config.txt")
    if line is None or settings is None:
        name = CMDLINE if line is None else "config.txt"
        raise FlashError(
            f"{boot.where}: expected the boot partition of a Raspberry Pi, got no {name}; "
            "it is the small one, called bootfs"
        )
    return line.decode("utf-8", "replace")


def _refuse_anothers_setup(boot: Boot, cmdline: str) -> None:
    script = boot.read("firstrun.sh")
    ours = {file.content for file in first_run_files()}
    if instance_of_imager(cmdline) or (script is not None and script not in ours):
        raise FlashError(
            f"{boot.where}: was customised by Raspberry Pi Imager, which would be lost; "
            "write the card again without customisation: site.toml says all of it"
        )
