"""`make boot-test`: a whole card, from `flash` to `online`, and its power cut in upgrades.

    a Debian bookworm arm64 with its own kernel → an image like Pi OS's → `flash --image --device`
    → switched on in qemu-system-aarch64, nobody touches it → `online` at a Mosquitto of the host
    → `flash --host` of the next release, power cut while it is built, while the doctor looks at it,
      and on trial → switched on again: `online` with the release that worked
    → `flash --host` once more: the next

Emulated are processor, board, disk and network. A power cut is SIGKILL of qemu: what the device
had in memory and not yet synced is lost; what its disk had taken is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arm_root import NEEDS, ArmRoot, check_machine
from boot_site import BOX, BootSite
from bundle_test import enrol
from card_image import PACKAGES, add_kernel, is_on_boot, make_image
from device_shell import BoxShell
from support import campus
from support.cards import names
from support.consumer import Consumer, eventually
from virtual_device import VirtualBox

import edge_reid

VERSION = edge_reid.__version__
NEXT = f"{VERSION}.post1"
CARD_BYTES = 6 << 30
BROKER_PORT, SSH_PORT = 18883, 18022
PLAN = "/opt/edge-reid/upgrade/plan.json"
RELEASES = "/opt/edge-reid/releases"
LOG = "edge-reid.log"
MORE_NEEDS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mcopy": "mtools",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "losetup": "mount",
    "ssh": "openssh-client",
}


@dataclass
class Story:
    """What the chapters share."""

    out: Path
    site: BootSite
    device: VirtualBox
    shell: BoxShell
    watcher: Consumer
    patience_s: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def card(self) -> Path:
        return self.out / "card.img"

    def switch_on(self, what: str) -> None:
        """Power on, and wait until the agent says that it is online; the time is a figure."""
        heard, began_s = len(self._told()), time.monotonic()
        self.device.power_on()
        while "online" not in [it["state"] for it in self._told()[heard:]]:
            assert self.device.is_alive, f"it does not run; see {self.device.console}"
            assert time.monotonic() - began_s < self.patience_s, (
                f"not online; {self.device.console}"
            )
            time.sleep(0.2)
        self.figures[what] = time.monotonic() - began_s
        told = self._told()[-1]
        say(f"{what}: {told['state']} {told['version']} {self.figures[what]:.0f} s after power")

    @property
    def online_version(self) -> str | None:
        """The version that the broker knows to be online; None while it is not."""
        told = self._told()[-1]
        return str(told["version"]) if told["state"] == "online" else None

    def flash_host(self, bundle: Path) -> subprocess.Popen[str]:
        """`edge-reid flash --host`, under way."""
        where = ("--host", self.shell.destination, "--ssh-config", self.shell.config)
        words = self.site.flash_words(bundle, *where)
        return subprocess.Popen(
            [sys.executable, "-m", "edge_reid", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cut_power(self, flashing: subprocess.Popen[str]) -> None:
        """Of the device; whoever flashed it is told."""
        self.device.cut_power()
        said, _ = flashing.communicate(timeout=120)
        say(f"flash --host: exit {flashing.returncode}: {' '.join(said.split())[-200:]}")
        assert flashing.returncode != 0

    def _told(self) -> list[dict[str, Any]]:
        """What its agent, or the broker in its place, said since we listen."""
        messages = [it for it in self.watcher.messages if not it.retained]
        return [json.loads(it.body) for it in messages if it.topic.endswith(f"/{BOX}/status")]


def a_card(story: Story) -> None:
    """An image, the bundle, and `flash --image --device`."""
    image = story.out / "raspios.img"
    story.site.card(image, story.site.bundle(), story.card, CARD_BYTES)
    image.unlink()
    assert all(is_on_boot(story.card, secret) for secret in story.site.secrets)


def the_first_power(story: Story) -> None:
    """Nobody touches it."""
    story.switch_on("first boot")
    assert story.online_version == VERSION
    story.shell.wait_until(f"grep -q installed. /boot/firmware/{LOG}", story.patience_s)
    log = story.shell.run(f"cat /boot/firmware/{LOG}")
    say(f"{story.device.starts} starts; its own log:\n{log}")
    assert "FAILED" not in log
    assert story.shell.run("hostname") == "camera-17"
    say(story.shell.run("uname -srm; systemctl is-system-running || true; systemd-analyze time"))


def no_secret_is_left(story: Story) -> None:
    """Power cut with nothing under way, and all of the boot partition read here."""
    story.shell.run("sync")
    story.device.cut_power()
    left = names(story.card)
    say(f"on the boot partition: {' '.join(sorted(left))}")
    assert not [name for name in left if name.startswith("edge-reid/") or name == "firstrun.sh"]
    assert not any(is_on_boot(story.card, secret) for secret in story.site.secrets)
    story.switch_on("ordinary boot")
    assert story.online_version == VERSION


def cut_while_it_is_built(story: Story) -> None:
    """pip is at work in releases/NEXT.partial."""
    flashing = story.flash_host(story.site.bundle(NEXT))
    built = f"{RELEASES}/{NEXT}.partial/lib/python3.*/site-packages/numpy"
    story.shell.wait_until(f"ls -d {built}", story.patience_s)
    say(f"power cut, while {NEXT} is built: {story.shell.run(f'ls {RELEASES}').split()}")
    story.cut_power(flashing)
    story.switch_on("after a cut while it was built")
    assert story.online_version == VERSION


def cut_at_the_doctor(story: Story) -> None:
    """What the upgrade changes is written down; `current` is still the old release."""
    flashing = story.flash_host(story.site.bundle(NEXT))
    story.shell.wait_until(f"test -e {PLAN}", story.patience_s)
    assert story.shell.run("readlink /opt/edge-reid/current").endswith(f"/{VERSION}")
    cut_unconfirmed(story, flashing, "at the doctor")


def cut_on_trial(story: Story) -> None:
    """The agent of the new release is online, and nobody has confirmed it."""
    flashing = story.flash_host(story.site.bundle(NEXT))
    eventually(lambda: story.online_version == NEXT, story.patience_s)
    cut_unconfirmed(story, flashing, "on trial")


def cut_unconfirmed(story: Story, flashing: subprocess.Popen[str], when: str) -> None:
    """Then the guard takes the upgrade back at the next start, before any agent."""
    plan = json.loads(story.shell.run(f"cat {PLAN}"))
    assert (plan["before"], plan["after"]) == (VERSION, NEXT)
    say(f"power cut, {NEXT} {when}: {PLAN} is there")
    story.cut_power(flashing)
    story.switch_on(f"after a cut {when}")
    assert story.online_version == VERSION
    assert story.shell.run(f"test -e {PLAN} || echo gone") == "gone"
    said = story.shell.run("journalctl -b -o cat -u edge-reid-guard.service")
    say(f"the guard: {said}")
    assert f"back to {VERSION}" in said
    assert story.shell.run(f"ls {RELEASES}").split() == [VERSION]


def the_upgrade_at_last(story: Story) -> None:
    """The same command once more."""
    flashing = story.flash_host(story.site.bundle(NEXT))
    said, _ = flashing.communicate(timeout=story.patience_s)
    say(f"flash --host: {said.splitlines()[-1]}")
    assert flashing.returncode == 0, said
    assert story.online_version == NEXT
    story.device.cut_power()
    story.switch_on("after a cut when it was done")
    assert story.online_version == NEXT


CHAPTERS: tuple[Callable[[Story], None], ...] = (
    *(a_card, the_first_power, no_secret_is_left),
    *(cut_while_it_is_built, cut_at_the_doctor, cut_on_trial, the_upgrade_at_last),
)


def main() -> None:
    options = _options()
    check_machine("boot-test", NEEDS | MORE_NEEDS)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    shell = BoxShell(out, SSH_PORT)
    site = BootSite(out, BROKER_PORT, shell.public_key)
    root = ArmRoot((options.root or out / "root").resolve(), PACKAGES)
    begins = [it.__name__ for it in CHAPTERS].index(options.begin)
    if begins == 0:
        enrol(out)  # anew: one that lies there may be of an earlier release's model
        root.make()
        add_kernel(root)
        make_image(root, campus.CLIP, out / "raspios.img")
    shell.trust(root.inside("/etc/ssh/ssh_host_ed25519_key.pub").read_text())
    device = VirtualBox(out / "card.img", out, SSH_PORT)
    site.broker.start()
    try:
        with Consumer(site.broker.broker_for("desk"), "edge-reid/lab/#") as watcher:
            story = Story(out, site, device, shell, watcher, options.patience)
            tell(story, begins)
    finally:
        device.cut_power()
        site.broker.stop()


def tell(story: Story, begins: int) -> None:
    """The chapters, from one on."""
    if begins > 1:
        story.switch_on("ordinary boot")
    for chapter in CHAPTERS[begins:]:
        say(chapter.__name__.replace("_", " "))
        chapter(story)
    hits = story.watcher.payloads("/gate/hit")
    say(f"seen: {sorted({it['identity'] for it in hits})}, {len(hits)} hits")
    say(json.dumps({what: round(it) for what, it in story.figures.items()}))
    say("all well")


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/boot"), help="folder for everything")
    parser.add_argument("--root", type=Path, help="the arm64 root; made if it is not there")
    parser.add_argument("--patience", type=float, default=5400.0, help="seconds, for each wait")
    names = [it.__name__ for it in CHAPTERS]
    parser.add_argument(
        "--begin", choices=names, default=names[0], help="go on from there with what --out has"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
