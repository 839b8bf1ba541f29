"""A real Mosquitto on a free loopback port, to be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import getpass
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.mqtt.broker import Broker

START_TIMEOUT_S = 10.0


def mosquitto_path() -> str | None:
    """The program; Debian keeps it where ordinary users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """One that no outgoing connection is given before it is used (Linux begins at 32,768)."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.SystemRandom().randrange(12_000, 32_000)))
            return int(probe.getsockname()[1])


class Mosquitto:
    """`login` = (user, password) shuts everybody else out; `acl` are lines of an ACL file;
    `tls` = (CA, certificate, key) makes it speak `mqtts`; `port` is one that is free by default;
    `more` are further lines of its configuration; `host` is where it listens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        login: tuple[str, str] | None = None,
        acl: tuple[str, ...] = (),
        tls: tuple[Path, Path, Path] | None = None,
        port: int | None = None,
        more: tuple[str, ...] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.port = port or free_port()
        self._host = host
        self.url = f"{'mqtts' if tls else 'mqtt'}://{host}:{self.port}"
        self._config = folder / "mosquitto.conf"
        # a subscriber that reads slowly must not make the broker drop: we test ourselves
        lines = [f"listener {self.port} {host}", "max_queued_messages 0"]
        lines.append(
            f"user {getpass.getuser()}"
        )  # as root it would give up its rights to our files
        lines += _login_lines(folder, login)
        if acl:
            (folder / "acl").write_text("\n".join(acl) + "\n")
            lines.append(f"acl_file {folder / 'acl'}")
        if tls:
            lines += [f"cafile {tls[0]}", f"certfile {tls[1]}", f"keyfile {tls[2]}"]
        lines += more
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def mqtt(self) -> dict[str, object]:
        """`[mqtt]` of whoever lives with it."""
        return {"url": self.url, "allow_plaintext": self._host != "127.0.0.1"}

    @property
    def pid(self) -> int | None:
        """Of its process, while it runs."""
        return self._process.pid if self._process else None

    def broker(self, **settings: object) -> Broker:
        """How a client of ours reaches it."""
        return Broker.from_settings(MqttSettings.model_validate({**self.mqtt, **settings}))

    def start(self) -> None:
        program = mosquitto_path()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, "mosquitto ended at once; is its config right?"
            assert time.monotonic() < deadline_s, "mosquitto does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(kill=False)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._end(kill=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have it read its rules again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((self._host, self.port)) == 0

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(timeout=10)
        self._process = None


def _login_lines(folder: Path, login: tuple[str, str] | None) -> list[str]:
    if login is None:
        return ["allow_anonymous true"]
    passwords = folder / "passwords"
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto_passwd comes with mosquitto"
    subprocess.run([program, "-b", "-c", str(passwords), *login], check=True, capture_output=True)
    return ["allow_anonymous false", f"password_file {passwords}"]
