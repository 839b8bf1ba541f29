"""What speaks against writing to a device, as Linux tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cards import MIB, card, tool

from deploy.flash.card import Kernel, inspect, refuse_unless_named_twice
from edge_reid.core.errors import FlashError


@dataclass
class Computer:
    """Folders as /sys and /proc are: devices that this machine has not."""

    root: Path

    @property
    def kernel(self) -> Kernel:
        return Kernel(self.root / "sys", self.root / "proc")

    def disk(self, name: str, number: str, *, parts: tuple[str, ...] = (), **said: str) -> None:
        folder = self.root / "sys/devices" / name
        facts = {"size": "62333952", "ro": "0", "removable": "0"} | said
        for key, value in facts.items():
            path = folder / key.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n", encoding="ascii")
        self._link(folder, name, number)
        for each, part in enumerate(parts, start=1):
            (folder / part).mkdir()
            (folder / part / "partition").write_text(f"{each}\n", encoding="ascii")
            self._link(folder / part, part, f"{number}{each}")

    def lies_on(self, holder: str, part: str) -> None:
        (self.root / "sys/class/block" / part / "holders" / holder).mkdir(parents=True)

    def mounted(self, number: str, place: str, source: str = "/dev/x") -> None:
        path = self.root / "proc/self/mountinfo"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            file.write(f"36 25 {number} / {place} rw,relatime shared:1 - ext4 {source} rw\n")

    def _link(self, folder: Path, name: str, number: str) -> None:
        for link in (f"sys/class/block/{name}", f"sys/dev/block/{number}"):
            (self.root / link).parent.mkdir(parents=True, exist_ok=True)
            (self.root / link).symlink_to(folder)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node of a block device that is not there: 7:777 is beyond what Linux makes by itself."""
    path = tmp_path / "sdb"
    try:
        os.mknod(path, 0o600 | 0o060000, os.makedev(7, 777))
    except PermissionError:
        pytest.skip("only root may make device nodes")
    return path


def test_a_card_in_a_usb_reader_may_be_written_to(computer: Computer, node: Path) -> None:
    computer.disk("sdb", "7:777", removable="1", device__vendor="Generic ", device__model="STORAGE")
    device = inspect(node, computer.kernel)
    assert device.dangers() == ()
    assert device.title == f"{node} (Generic STORAGE, 31.9 GB)"
    refuse_unless_named_twice(device, 4 << 30, really=None)


def test_a_card_in_a_slot_may_be_written_to_though_linux_calls_it_fixed(
    computer: Computer, node: Path
) -> None:
    computer.disk("mmcblk0", "7:777", device__type="SD", device__name="SC32G")
    assert inspect(node, computer.kernel).dangers() == ()


def test_soldered_flash_memory_is_no_card(computer: Computer, node: Path) -> None:
    computer.disk("mmcblk0", "7:777", device__type="MMC")
    assert inspect(node, computer.kernel).dangers() == (
        "is not removable: is it a disk of this computer?",
    )


def test_the_disk_of_the_running_system_is_known_through_lvm_on_encryption(
    computer: Computer, node: Path
) -> None:
    computer.disk("nvme0n1", "7:777", parts=("nvme0n1p1", "nvme0n1p2"))
    computer.disk("dm-0", "254:0")
    computer.disk("dm-1", "254:1")
    computer.lies_on("dm-0", "nvme0n1p2")
    computer.lies_on("dm-1", "dm-0")
    computer.mounted("254:1", "/")
    computer.mounted("7:7771", "/boot/efi")
    computer.mounted("0:25", "/dev/shm")
    assert inspect(node, computer.kernel).dangers() == (
        "carries the running system (/, /boot/efi)",
        "carries dm-0, dm-1 (LVM, RAID or encryption)",
        "is not removable: is it a disk of this computer?",
    )


def test_a_mount_of_btrfs_is_known_by_its_source(computer: Computer, node: Path) -> None:
    computer.disk("sdb", "7:777", removable="1", parts=("sdb1",))
    computer.mounted("0:44", "/media/my\\040card", source="/dev/sdb1")
    assert inspect(node, computer.kernel).dangers() == ("is mounted at /media/my card; unmount it",)


def test_swap_is_known(computer: Computer, node: Path) -> None:
    computer.disk("sdb", "7:777", removable="1", parts=("sdb1",))
    (computer.root / "proc").mkdir()
    (computer.root / "proc/swaps").write_text(
        "Filename Type Size Used Priority\n/dev/sdb1 partition 8 0 -2\n", encoding="ascii"
    )
    assert inspect(node, computer.kernel).dangers() == ("is swapped to (/dev/sdb1); swapoff first",)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"size": "0"}, "has no card in it; put one in"),
        ({"ro": "1"}, "is write protected; move the lock"),
        ({"size": "2048"}, "has room for 1048576 bytes, and the image needs 4294967296"),
    ],
)
def test_some_things_cannot_be_done_however_often_they_are_named(
    computer: Computer, node: Path, said: dict[str, str], complaint: str
) -> None:
    computer.disk("sdb", "7:777", **{"removable": "1", **said})
    with pytest.raises(FlashError, match=complaint):
        refuse_unless_named_twice(inspect(node, computer.kernel), 4 << 30, really=node)


def test_what_is_dangerous_must_be_named_twice(computer: Computer, node: Path) -> None:
    computer.disk("sdb", "7:777")
    device = inspect(node, computer.kernel)
    for really in (None, Path("/dev/sdc")):
        with pytest.raises(FlashError, match=f"not removable.*--card {node} --really {node}"):
            refuse_unless_named_twice(device, 4 << 30, really=really)
    refuse_unless_named_twice(device, 4 << 30, really=node)


def test_a_part_of_a_disk_is_no_disk(computer: Computer, node: Path) -> None:
    computer.disk("sdb", "8:16", parts=("sdb1",))
    (computer.root / "sys/dev/block/7:777").symlink_to(computer.root / "sys/devices/sdb/sdb1")
    with pytest.raises(FlashError, match="expected a whole disk.* part of /dev/sdb"):
        inspect(node, computer.kernel)


@pytest.mark.parametrize("name", ["/dev/null", "/dev/full", "/etc/hostname", "/tmp"])
def test_what_is_no_block_device_is_refused(name: str) -> None:
    with pytest.raises(FlashError, match=f"{name}: expected a block device like /dev/sdb"):
        inspect(Path(name))


def test_elsewhere_than_on_linux_another_way_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="needs Linux; .*Imager and seed it with --boot"):
        inspect(Path("/dev/null"), Kernel(tmp_path / "sys", tmp_path / "proc"))


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(FlashError, match="No such file.*`lsblk` lists"):
        inspect(Path("/dev/sdzz"))


def test_the_real_disk_below_the_root_is_known_for_what_it_is() -> None:
    source = Path(tool("findmnt", "-no", "SOURCE", "/").strip())
    if not source.is_block_device():
        pytest.skip("the root of this machine is on no device")
    parent = tool("lsblk", "-no", "PKNAME", source).strip()
    disk = Path("/dev") / parent if parent else source
    assert any("carries the running system (" in danger for danger in inspect(disk).dangers())


def test_a_real_device_in_use_is_known_for_it(tmp_path: Path) -> None:
    (tmp_path / "backing").write_bytes(bytes(16 * MIB))
    (tmp_path / "place with blank").mkdir()
    with card(tmp_path / "backing") as device:
        assert inspect(device).size_bytes == 16 * MIB
        tool("mkfs.ext4", "-q", device)
        tool("mount", device, tmp_path / "place with blank")
        try:
            assert f"is mounted at {tmp_path}/place with blank; unmount it" in (
                inspect(device).dangers()
            )
        finally:
            tool("umount", tmp_path / "place with blank")
        assert inspect(device).mounts == ()


def test_a_real_read_only_device_is_known_for_it(tmp_path: Path) -> None:
    (tmp_path / "backing").write_bytes(bytes(MIB))
    with card(tmp_path / "backing", "--read-only") as device:
        assert "write protected" in (inspect(device).impossible(MIB) or "")
