"""`mqtts`: a real Mosquitto with a certificate of our own CA."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto
from support.requirements import absent

from edge_reid.core.errors import ConfigError
from edge_reid.mqtt.broker import RefusedError, UnreachableError
from edge_reid.mqtt.connection import connect

pytestmark = pytest.mark.broker


@pytest.fixture
def ca(tmp_path: Path) -> Callable[[str], tuple[Path, Path, Path]]:
    """A function that gives (CA, certificate, key) for a host, all of them new."""
    if shutil.which("openssl") is None:
        absent("openssl")

    def make(host: str) -> tuple[Path, Path, Path]:
        folder = tmp_path / f"pki-{host}"
        folder.mkdir()
        kind = "IP" if host[0].isdigit() else "DNS"
        new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        new += ["-nodes", "-days", "2"]
        _run(folder, [*new, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem"])
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-subj", f"/CN={host}"]
        name = ["-addext", f"subjectAltName={kind}:{host}"]
        name += ["-addext", "basicConstraints=critical,CA:FALSE"]
        _run(folder, [*new, *signed, *name, "-keyout", "server.key", "-out", "server.pem"])
        return folder / "ca.pem", folder / "server.pem", folder / "server.key"

    return make


def _run(folder: Path, command: list[str]) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_a_certificate_of_the_given_ca_is_trusted(
    make_broker: Callable[..., Mosquitto], ca: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    tls = ca("127.0.0.1")
    broker = make_broker(tls=tls).broker(ca_file=tls[0])
    assert str(broker).startswith("mqtts://")
    connection = connect(broker)
    assert connection.room > 0
    connection.close()


def test_a_certificate_of_nobody_we_know_is_refused(
    make_broker: Callable[..., Mosquitto], ca: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    broker = make_broker(tls=ca("127.0.0.1")).broker()  # the system's CAs
    with pytest.raises(RefusedError, match=r"not to be trusted: .*give the CA that signed it"):
        connect(broker)


def test_a_certificate_for_another_host_is_refused(
    make_broker: Callable[..., Mosquitto], ca: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    tls = ca("elsewhere.example")
    with pytest.raises(RefusedError, match="not to be trusted: IP address mismatch"):
        connect(make_broker(tls=tls).broker(ca_file=tls[0]))


def test_no_plaintext_where_tls_was_asked_for(
    broker: Mosquitto, ca: Callable[[str], tuple[Path, Path, Path]]
) -> None:
    broker.url = broker.url.replace("mqtt:", "mqtts:")
    with pytest.raises(UnreachableError):
        connect(broker.broker(ca_file=ca("127.0.0.1")[0]))


def test_a_ca_file_that_is_none(broker: Mosquitto, tmp_path: Path) -> None:
    broker.url = broker.url.replace("mqtt:", "mqtts:")
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"ca_file: .*: expected certificates in PEM"):
        broker.broker(ca_file=tmp_path / "ca.pem")


def test_files_that_are_not_there(broker: Mosquitto, tmp_path: Path) -> None:
    """A wrong path is no broken certificate: which of the files it is must be told."""
    broker.url = broker.url.replace("mqtt:", "mqtts:")
    key = tmp_path / "gate.key"
    key.write_text("hello")
    with pytest.raises(ConfigError) as caught:
        broker.broker(ca_file=tmp_path / "ca.crt", cert_file=tmp_path / "gate.crt", key_file=key)
    assert list(caught.value.problems) == [
        f"ca_file: {tmp_path}/ca.crt: no such file; certs.py writes one as ca.crt",
        f"cert_file: {tmp_path}/gate.crt: no such file; certs.py writes one as clients/NAME.crt",
    ]
