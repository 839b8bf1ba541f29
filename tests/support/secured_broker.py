"""A Mosquitto that runs exactly the files of deploy/broker, on a free port of loopback."""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from support.mosquitto import Mosquitto, mosquitto_path
from support.requirements import absent

from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.mqtt.broker import Broker

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "broker"
CAST = (
    "server localhost 127.0.0.1",
    "agent gate-1 --site lab --camera gate",
    "agent door-1 --site lab --camera door",
    "agent yard-1 --site lab --camera yard --camera pond",
    "agent barn-1 --site farm --camera barn",
    "reader desk --site lab",
    "sink archive",
    "publisher office --site lab",
    "commander ops --site lab",
    "releaser depot --site lab",
)


def load_certs() -> ModuleType:
    """The script as a module; it is in no package."""
    spec = importlib.util.spec_from_file_location("certs", DEPLOY / "certs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["certs"] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def certs(pki: Path, words: str) -> tuple[int, str, str]:
    """`certs.py --pki PKI …`: exit code, what it said, what it complained of."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = load_certs().main(["--pki", str(pki), *words.split()])
    return code, out.getvalue(), err.getvalue()


def login_of(pki: Path, name: str) -> dict[str, Path]:
    """Settings of `[mqtt]` for somebody of the cast whom `certs.py` wrote into `pki`."""
    own = pki / "clients" / name
    return {
        "ca_file": pki / "ca.crt",
        "cert_file": own.with_suffix(".crt"),
        "key_file": own.with_suffix(".key"),
    }


class SecuredMosquitto(Mosquitto):
    """Only the port, the folders and the user of the shipped configuration are changed."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self.pki = folder / "pki"
        for words in CAST:
            code, _, complaint = certs(self.pki, words)
            assert code == 0, complaint
        shipped = (DEPLOY / "mosquitto.conf").read_text()
        for old, new in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("/etc/mosquitto/edge-reid", str(self.pki)),
            ("/var/lib/mosquitto/", f"{folder}/"),
        ):
            assert old in shipped
            shipped = shipped.replace(old, new)
        self._config.write_text(f"{shipped}\nuser {getpass.getuser()}\n")
        self.url = f"mqtts://localhost:{self.port}"

    def reload(self) -> None:
        """As `systemctl reload mosquitto`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def login(self, name: str) -> dict[str, Path]:
        """Settings of `[mqtt]` for somebody of the cast."""
        return login_of(self.pki, name)

    def broker_for(self, name: str) -> Broker:
        settings = {"url": self.url, **self.login(name)}
        return Broker.from_settings(MqttSettings.model_validate(settings))


@contextlib.contextmanager
def secured_mosquitto(folder: Path) -> Iterator[SecuredMosquitto]:
    """A running one, with the shipped configuration, TLS and access rules; killed in the end.

    Without the program the test is skipped, except in CI, where it fails.
    """
    if mosquitto_path() is None:
        absent("mosquitto (Debian: apt install mosquitto; macOS: brew install mosquitto)")
    broker = SecuredMosquitto(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
