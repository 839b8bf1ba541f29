"""What only one device gets: its certificate and keys, looked at before they are sent anywhere."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.broker.certs import Holder
from deploy.site import installed_paths
from deploy.site.agent_config import AgentConfigSpec
from deploy.site.site import Site, SiteCamera, SiteDevice
from edge_reid.core.errors import ConfigError, UsageError
from edge_reid.signing.certificate_holder import URN
from edge_reid.signing.keys import read_public_key

Secrets = dict[PurePosixPath, bytes]
"""Where a file lies on the device, and what is in it."""


def secrets_of(site: Site, name: str) -> Secrets:
    """All that goes into `/etc/edge-reid/secrets` of a device.

    Raises:
        ConfigError: with everything that is wrong with these files.
    """
    reading = _Reading(site, name)
    reading.read()
    if reading.problems:
        raise ConfigError(f"files of device {name}", reading.problems)
    return reading.secrets


def certificate_files(site: Site, name: str) -> dict[PurePosixPath, Path]:
    """The certificates of a device's agents: where each lies on the device, and where here."""
    found = {}
    for plan in site.plans(name):
        _, holder = _holder(plan, site.device(name))
        if holder.cert_file is not None:
            found[plan.secret("crt")] = holder.cert_file
    return found


def _holder(plan: AgentConfigSpec, device: SiteDevice) -> tuple[str, SiteDevice | SiteCamera]:
    """The table that names an agent's certificate, and what it says."""
    place = f"devices.{plan.device}"
    if not plan.carried.own_certificate:
        return place, device
    (camera,) = plan.cameras
    return f"{place}.cameras.{camera}", device.cameras[camera]


class _Reading:
    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        self._ca: x509.Certificate | None = None
        self.secrets: Secrets = {}
        self.problems: list[str] = []

    def read(self) -> None:
        """Fill `secrets` and `problems`."""
        self._shared()
        device = self._site.device(self._name)
        if device.password_file and (
            body := self._take("password_file", device.password_file, 0o077)
        ):
            self.secrets[installed_paths.PASSWORD] = body
        for plan in self._site.plans(self._name):
            self._pair(plan, device)

    def _shared(self) -> None:
        files = self._site.files
        if files.ca_file and (body := self._take("files.ca_file", files.ca_file)):
            self._ca = self._certificate("files.ca_file", body)
            self.secrets[installed_paths.CA] = body
        keys = (
            (
                "files.gallery_public_key",
                files.gallery_public_key,
                installed_paths.GALLERY_PUBLIC_KEY,
            ),
            (
                "files.release_public_key",
                files.release_public_key,
                installed_paths.RELEASE_PUBLIC_KEY,
            ),
        )
        for where, path, there in keys:
            if path and (body := self._take(where, path)):
                self.secrets[there] = body
                try:
                    read_public_key(path)
                except UsageError as error:
                    self.problems.append(f"{where}: {error}")

    def _pair(self, plan: AgentConfigSpec, device: SiteDevice) -> None:
        where, holder = _holder(plan, device)
        if holder.cert_file is None or holder.key_file is None:
            return
        cert = self._take(f"{where}.cert_file", holder.cert_file)
        key = self._take(f"{where}.key_file", holder.key_file, 0o077)
        if cert and key and (parsed := self._certificate(f"{where}.cert_file", cert)):
            self.problems += _mistakes(where, plan, parsed, key, self._ca)
            self.secrets[plan.secret("crt")] = cert
            self.secrets[plan.secret("key")] = key

    def _take(self, where: str, path: Path, forbidden_mode: int = 0) -> bytes | None:
        try:
            if stat.S_IMODE(path.stat().st_mode) & forbidden_mode:
                self.problems.append(f"{where}: others may read {path}; run chmod 600 {path}")
            body = path.read_bytes()
        except OSError as error:
            self.problems.append(f"{where}: {path} cannot be read: {error.strerror}")
            return None
        if not body.strip():
            self.problems.append(f"{where}: {path} is empty")
        return body

    def _certificate(self, where: str, body: bytes) -> x509.Certificate | None:
        try:
            return x509.load_pem_x509_certificate(body)
        except ValueError:
            self.problems.append(f"{where}: expected a certificate in PEM, got something else")
            return None


def _mistakes(
    where: str,
    plan: AgentConfigSpec,
    cert: x509.Certificate,
    key: bytes,
    ca: x509.Certificate | None,
) -> Iterator[str]:
    """What would keep an agent off its broker."""
    if (name := _common_name(cert)) != plan.agent:
        yield f"{where}.cert_file: expected the certificate of {plan.agent}, it is of {name}"
    elif not _is_for(plan, cert):
        cameras = sorted(plan.cameras)
        options = " ".join(f"--camera {camera}" for camera in cameras)
        yield (
            f"{where}.cert_file: expected one for site {plan.site} and camera "
            f"{' and '.join(cameras)}, it is for others; issue it anew: certs.py agent "
            f"{plan.agent} --site {plan.site} {options}"
        )
    if cert.not_valid_after_utc < datetime.now(timezone.utc):
        yield f"{where}.cert_file: ended {cert.not_valid_after_utc:%Y-%m-%d}; run certs.py renew"
    if not _belongs_to(key, cert):
        yield f"{where}.key_file: is not the private key of cert_file"
    if ca is not None and not _is_signed_by(cert, ca):
        yield f"{where}.cert_file: is not signed by files.ca_file"


def _common_name(cert: x509.Certificate) -> str:
    """Less the number that certs.py puts behind it when rights have changed: `gate-1.2`."""
    names = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return re.sub(r"\.\d+$", "", str(names[0].value)) if names else "nobody"


def _is_for(plan: AgentConfigSpec, cert: x509.Certificate) -> bool:
    """False if certs.py issued it for another site or cameras; others' certificates do not say."""
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return True
    if not any(
        name.startswith(URN) for name in names.get_values_for_type(x509.UniformResourceIdentifier)
    ):
        return True
    holder = Holder.of(cert)
    is_here = (holder.role, holder.site) == ("agent", plan.site)
    return is_here and plan.cameras.keys() <= set(holder.cameras)


def _belongs_to(key: bytes, cert: x509.Certificate) -> bool:
    try:
        public = load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return public == cert.public_key()


def _is_signed_by(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
