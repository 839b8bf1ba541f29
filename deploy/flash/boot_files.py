"""A boot partition made ready: what is written, in which order, read back and compared."""

from __future__ import annotations

import hashlib
import io
import secrets
from dataclasses import dataclass

from deploy.flash.boot_partition import Boot, Wrote, written
from deploy.flash.cmdline import instance_of_imager, told
from deploy.flash.first_boot import (
    BUNDLE,
    OPTIONAL,
    SETTINGS,
    FirstBoot,
    SeedFile,
    cloud_init_files,
    first_run_files,
    instance_of,
    seed_id_in,
    setup_files,
)
from edge_reid.core.errors import FlashError

CMDLINE = "cmdline.txt"
CMDLINE_BEFORE = "cmdline.txt.before-edge-reid"
_SLACK_BYTES = 1 << 20
"""For what FAT needs besides the bytes of the files."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What is to be on the card."""

    has_cloud_init: bool
    """What the image on the card is set up by."""
    files: tuple[SeedFile, ...]
    cmdline: str
    cmdline_before: str

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.files)


def plan(first: FirstBoot, boot: Boot) -> Seed:
    """What this device needs on this card.

    Raises:
        FlashError: it is no boot partition of a Pi, or was set up by somebody else.
    """
    before = _cmdline(boot)
    _refuse_anothers_setup(boot, before)
    there = seed_id_in(boot.read(SETTINGS))
    if there and _all_there(same := _plan(first, boot, before, there), boot):
        return same
    return _plan(first, boot, before, secrets.token_hex(8))


def _plan(first: FirstBoot, boot: Boot, cmdline: str, seed_id: str) -> Seed:
    has_cloud_init = boot.read("meta-data") is not None or boot.read("user-data") is not None
    line = told(
        cmdline,
        first_run=not has_cloud_init,
        instance=instance_of(seed_id) if has_cloud_init else None,
        country=first.country,
    )
    own = cloud_init_files(first, seed_id) if has_cloud_init else first_run_files()
    return Seed(has_cloud_init, (*setup_files(first, seed_id), *own), line, cmdline)


def _all_there(seed: Seed, boot: Boot) -> bool:
    return all(boot.sha256(each.name) == each.sha256 for each in seed.files)


def sow(seed: Seed, boot: Boot, wrote: Wrote) -> int:
    """Write what is not there yet; returns how many bytes. `cmdline.txt`, which sets it off, last.

    Raises:
        FlashError: there is no room, the card fails, or reads back something else.
    """
    _remove_anothers(seed, boot)
    missing = [each for each in seed.files if boot.sha256(each.name) != each.sha256]
    needed = sum(each.size_bytes for each in missing) + _SLACK_BYTES
    if missing and (free := boot.free_bytes()) < needed:
        raise FlashError(
            f"{boot.where}: expected room for {needed / 1e6:.0f} MB, got {free / 1e6:.0f} MB; "
            "take a fresh card, or remove what is not the system's"
        )
    for each in missing:
        content = each.content
        if isinstance(content, bytes):
            boot.write(each.name, io.BytesIO(content), wrote)
        else:
            with content.path.open("rb") as file:
                boot.write(each.name, file, wrote)
        if boot.sha256(each.name) != each.sha256:
            raise FlashError(
                f"{boot.where}: {each.name} reads back other bytes than were written; "
                "the card is worn out: take another"
            )
    _set_off(seed, boot)
    return sum(each.size_bytes for each in missing)


def _remove_anothers(seed: Seed, boot: Boot) -> None:
    """What another seed has left and this one has not, and another bundle, which takes room."""
    wanted = {each.name: each.sha256 for each in seed.files}
    for name in (BUNDLE, *OPTIONAL):
        found = boot.sha256(name)
        if found and found != wanted.get(name):
            boot.remove(name)


def _set_off(seed: Seed, boot: Boot) -> None:
    if seed.cmdline == seed.cmdline_before:
        return
    if boot.read(CMDLINE_BEFORE) is None:
        written(boot, CMDLINE_BEFORE, seed.cmdline_before.encode())
    written(boot, CMDLINE, seed.cmdline.encode())
    if boot.sha256(CMDLINE) != hashlib.sha256(seed.cmdline.encode()).hexdigest():
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
    ours = {each.content for each in first_run_files()}
    if instance_of_imager(cmdline) or (script is not None and script not in ours):
        raise FlashError(
            f"{boot.where}: was customised by Raspberry Pi Imager, which would be lost; "
            "write the card again without customisation: site.toml says all of it"
        )
