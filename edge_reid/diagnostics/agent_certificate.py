"""The certificate that an agent shows its broker, whose rules go by the name in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from edge_reid.core.errors import ConfigError
from edge_reid.signing.certificate_holder import CertificateHolder, common_name


@dataclass(frozen=True, slots=True)
class ExpectedHolder:
    """The agent whose certificate it should be."""

    agent: str
    site: str
    cameras: tuple[str, ...]

    def __str__(self) -> str:
        return f"agent {self.agent}"

    @property
    def remedy(self) -> str:
        """How such a certificate comes about."""
        cameras = " ".join(f"--camera {camera}" for camera in self.cameras)
        return f"certs.py agent {self.agent} --site {self.site} {cameras} issues one"


class ForeignCertificateError(ConfigError):
    """A certificate that certs.py has not issued bears another name. It may be meant so."""


def read_certificate(path: Path | None) -> x509.Certificate | None:
    """None: there is none that can be read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()) if path else None
    except (OSError, ValueError):
        return None


def check_holder(certificate: x509.Certificate, expected: ExpectedHolder) -> None:
    """Raise unless the broker's rules let an agent with this certificate publish.

    Raises:
        ForeignCertificateError: it is not of certs.py, and bears another name.
        ConfigError: it is for somebody else, another site or other cameras; with all of these.
    """
    try:
        holder = CertificateHolder.of(certificate)
    except ValueError:  # not of certs.py
        _check_name(certificate, expected)
        return
    if mistakes := tuple(_mistakes(holder, expected)):
        raise ConfigError("mqtt.cert_file", mistakes)


def _check_name(certificate: x509.Certificate, expected: ExpectedHolder) -> None:
    try:
        name = common_name(certificate)
    except ValueError:
        name = "no name"
    if name != expected.agent:
        problem = (
            f"expected {expected.agent}, got {name}; where the broker's rules go by this name, the "
            f"agent needs one of its own: {expected.remedy}"
        )
        raise ForeignCertificateError("mqtt.cert_file", [problem])


def _mistakes(holder: CertificateHolder, expected: ExpectedHolder) -> Iterator[str]:
    if (holder.role, holder.name) != ("agent", expected.agent):
        yield (
            f"expected the certificate of {expected}, got that of {holder.role} {holder.name}; "
            f"{expected.remedy}"
        )
        return
    if holder.site != expected.site:
        yield f"expected one for site {expected.site}, got one for {holder.site}; {expected.remedy}"
    if others := set(expected.cameras) - set(holder.all("camera")):
        wanted, got = " and ".join(sorted(others)), " and ".join(holder.all("camera"))
        yield f"expected one for camera {wanted} too, got one for {got}; {expected.remedy}"
