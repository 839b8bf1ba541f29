"""A device with a card in it, in qemu-system-aarch64: switched on, and its power cut.

Emulated are the processor (a Pi 4's core), the board (qemu's `virt`) and its disk and network. The
firmware's part is played here: at each start, kernel, initramfs and command line are taken from the
boot partition as it is then.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from card_image import INITRAMFS, KERNEL, on_boot

CORES, MEMORY_MB = 2, 2048
HOST = "10.0.2.2"
"""This machine's loopback, as the device sees it."""
ADDRESS = "10.0.2.15"
"""The device's own."""


class VirtualBox:
    """It restarts when its system says so, and is off when the power is cut.

    Args:
        card: its disk; what it has written there is all that outlives a power cut.
        folder: for the console's log.
        ssh_port: of this machine, behind which its sshd is.
    """

    def __init__(self, card: Path, folder: Path, ssh_port: int) -> None:
        self.starts = 0
        self._card = card
        self._folder = folder
        self._ssh_port = ssh_port
        self._qemu: subprocess.Popen[bytes] | None = None
        self._has_power = threading.Event()
        self._running: threading.Thread | None = None
        self._turn = threading.Lock()

    @property
    def console(self) -> Path:
        return self._folder / "console.log"

    @property
    def is_alive(self) -> bool:
        return self._running is not None and self._running.is_alive()

    def power_on(self) -> None:
        self.starts = 0
        self._has_power.set()
        self._running = threading.Thread(target=self._run, daemon=True)
        self._running.start()

    def cut_power(self) -> None:
        """Nothing in there gets to do anything more; what was in its memory is lost."""
        with self._turn:
            self._has_power.clear()
            if self._qemu:
                self._qemu.kill()
        if self._running:
            self._running.join()

    def _run(self) -> None:
        while self._start():
            assert self._qemu is not None
            if self._qemu.wait() != 0:
                return

    def _start(self) -> bool:
        with self._turn:
            if not self._has_power.is_set():
                return False
            self._qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL)
            self.starts += 1
            return True

    def _command(self) -> list[str]:
        kernel, initramfs, cmdline = (
            on_boot(self._card, name, self._folder / name)
            for name in (KERNEL, INITRAMFS, "cmdline.txt")
        )
        network = f"user,id=net,hostfwd=tcp:127.0.0.1:{self._ssh_port}-{ADDRESS}:22"
        # none: what the device was told to be on the card is with this machine's disk
        disk = f"if=none,id=card,format=raw,cache=none,file={self._card}"
        words = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-accel"]
        words += ["tcg,thread=multi,tb-size=512", "-smp", str(CORES), "-m", str(MEMORY_MB)]
        words += ["-kernel", str(kernel), "-initrd", str(initramfs)]
        words += ["-append", cmdline.read_text().strip()]
        words += ["-drive", disk, "-device", "virtio-blk-pci,drive=card"]
        words += ["-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="]
        words += ["-device", "virtio-rng-pci", "-rtc", "base=utc", "-display", "none"]
        words += ["-chardev", f"file,id=console,append=on,path={self.console}"]
        # it ends instead of a restart, which is ours, with another command line
        return [*words, "-serial", "chardev:console", "-monitor", "none", "-no-reboot"]
