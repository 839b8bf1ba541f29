"""Cameras of V4L2, read in a virtual machine whose kernel has one: `make v4l2-test`.

Debian's kernel with its driver `vivid` (a camera of moving test patterns) starts in qemu. The root
of this machine is its root, read-only, so what runs in there is this checkout in this environment.
All is emulated, so five minutes are usual. As root; Debian: `apt install qemu-system-x86
linux-image-amd64 busybox-static v4l-utils cpio`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

NEEDED = "virtio_pci", "9pnet_virtio", "9p", "vivid"
"""Modules of the kernel."""
INSIDE = Path(__file__).with_name("v4l2_inside.py")
TIMEOUT_S = 1200.0
ALL_WELL = "v4l2: all well"
"""What `INSIDE` says in the end."""
INIT = f"""#!/bin/busybox sh
set -e
b=/bin/busybox
$b mount -t proc none /proc; $b mount -t sysfs none /sys; $b mount -t devtmpfs none /dev
for module in /modules/*; do case $module in *vivid.ko) ;; *) $b insmod $module;; esac; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,ro,cache=loose host /host
for folder in proc sys dev; do $b mount -o bind /$folder /host/$folder; done
$b mount -t tmpfs none /host/tmp; $b cp -r /modules /host/tmp
$b mkdir /dev/shm; $b mount -t tmpfs none /dev/shm
$b ip link set lo up
set +e
HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    $b chroot /host {sys.executable} {INSIDE}
$b poweroff -f
"""


def main() -> int:
    kernel = max(Path("/boot").glob("vmlinuz-*"), default=None)
    programs = "qemu-system-x86_64", "busybox", "cpio", "v4l2-ctl", "modprobe"
    missing = [name for name in programs if not shutil.which(name)]
    if kernel is None or missing:
        print(__doc__, f"\nmissing: {', '.join(missing) or 'a kernel in /boot'}", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="edge-reid-v4l2-") as folder:
        initramfs = pack(Path(folder), kernel.name.removeprefix("vmlinuz-"))
        return int(not boot(kernel, initramfs))


def pack(folder: Path, release: str) -> Path:
    """An initramfs of a shell and of the modules in the order in which they go in."""
    root = folder / "root"
    for name in ("bin", "modules", "proc", "sys", "dev", "host"):
        (root / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin")
    for number, module in enumerate(modules(release)):
        shutil.copy(module, root / "modules" / f"{number:02}-{module.name}")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    initramfs = folder / "initramfs"
    subprocess.run(f"find . | cpio -o -H newc > {initramfs}", shell=True, check=True, cwd=root)
    return initramfs


def modules(release: str) -> list[Path]:
    """Those needed and what they need, each after that."""
    found: dict[Path, None] = {}
    for name in NEEDED:
        words = ["modprobe", "-S", release, "--show-depends", name]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        lines = (line.split() for line in told.splitlines())
        found |= {Path(line[1]): None for line in lines if line[0] == "insmod"}
    return list(found)


def boot(kernel: Path, initramfs: Path) -> bool:
    """Whether all went well in there. Its console is shown as it goes."""
    words = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1536", "-smp", "2"]
    words += ["-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel, "-initrd", initramfs]
    words += ["-append", "console=ttyS0 quiet panic=-1", "-virtfs"]
    words += ["local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    machine = subprocess.Popen(
        [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    said = False
    assert machine.stdout is not None
    patience = Timer(TIMEOUT_S, machine.kill)  # which ends its console, too
    patience.start()
    for line in machine.stdout:
        text = line.decode(errors="replace").rstrip()
        print(text, flush=True)
        said = said or text.endswith(ALL_WELL)
    machine.wait()
    patience.cancel()
    return said


if __name__ == "__main__":
    sys.exit(main())
