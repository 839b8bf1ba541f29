"""A real sshd on loopback, whose device is a root file system of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cards import tool
from support.first_boots import CardDevice, mount
from support.requirements import absent

PASSWORD = "the password of sudo"


@dataclass(frozen=True)
class Server:
    """A device that answers; `config` is how ssh finds it and knows it."""

    device: CardDevice
    folder: Path
    port: int

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"


@contextmanager
def ssh_server(device: CardDevice, folder: Path) -> Iterator[Server]:
    """Lets in root, `installer`, whose sudo asks for nothing, and `guard`, whose sudo asks."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if program is None:
        absent("sshd (Debian: apt install openssh-server)")
    folder.mkdir()
    for name in ("host", "user"):
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    server = Server(device, folder, _free_port())
    _configure(server)
    _make_users(server)
    with ExitStack() as running:
        for each in ("dev", "proc"):
            mount(running, device.root / each, "--bind", f"/{each}")
        command = ["chroot", str(device.root), program, "-D", "-e", "-f", "/sshd_config"]
        log = running.enter_context((folder / "sshd.log").open("w"))
        daemon = subprocess.Popen(command, stderr=log)
        running.callback(daemon.wait)
        running.callback(daemon.terminate)
        _wait_for(server)
        yield server


def _configure(server: Server) -> None:
    device, folder = server.device, server.folder
    (device.root / "run/sshd").mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "host", device.root / "host_key")
    shutil.copy(folder / "user.pub", device.root / "authorized_keys")
    (device.root / "sshd_config").write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey /host_key\n"
        "AuthorizedKeysFile /authorized_keys\nStrictModes no\nPidFile none\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
        encoding="ascii",
    )
    key = (folder / "host.pub").read_text(encoding="ascii")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {key}", encoding="ascii")
    server.config.write_text(
        f"Host *\n Port {server.port}\n IdentityFile {folder}/user\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {server.known_hosts}\n GlobalKnownHostsFile /dev/null\n"
        " StrictHostKeyChecking yes\n BatchMode yes\n",
        encoding="ascii",
    )


def _make_users(server: Server) -> None:
    device = server.device
    for name in ("installer", "guard"):
        assert device.run("useradd", "--create-home", "--shell", "/bin/sh", name) == 0
        assert device.run("usermod", "--password", "*", name) == 0
    assert device.run("usermod", "--shell", "/bin/sh", "root") == 0
    assert device.run("sh", "-c", f"echo 'guard:{PASSWORD}' | chpasswd") == 0
    (device.root / "etc/sudoers.d").mkdir(exist_ok=True)
    rules = device.root / "etc/sudoers.d/test"
    rules.write_text("installer ALL=(ALL) NOPASSWD: ALL\nguard ALL=(ALL) ALL\n", encoding="ascii")
    rules.chmod(0o440)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 30
    while not _answers(server):
        assert time.monotonic() < deadline, (server.folder / "sshd.log").read_text()
        time.sleep(0.1)


def _answers(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True
