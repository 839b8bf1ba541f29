#!/usr/bin/env python3
"""Certificates and access rules of an edge-reid broker: one CA, everybody signed by it.

    certs.py server broker.lab.example 192.0.2.7   # names and addresses that clients will dial
    certs.py server n1.example n2.example --cluster  # the same of all nodes of a NATS cluster
    certs.py agent gate-1 --site lab --camera gate # --camera again for each other of its cameras
    certs.py sink archive                          # may store events, of all sites
    certs.py reader desk --site lab                # may watch: dashboards, Home Assistant
    certs.py publisher office --site lab           # may publish galleries
    certs.py releaser depot --site lab             # may publish releases of edge-reid
    certs.py commander ops --site lab              # may send commands to agents
    certs.py bridge farm --site farm               # the site's own Mosquitto, at this one, the hub
    certs.py list                                  # who there is, and until when
    certs.py renew                                 # everything that ends within 30 days
    certs.py remove gate-1                         # takes its rights; see README.md

The CA is made when it is first needed. Doing the same again changes nothing. A certificate says
itself who it is for (role, site, cameras), so the folder of certificates is the only register, and
`acl` (of a cluster `nats-users.conf` too) is written from it and from the topics of the wire
contract (edge_reid/wire/topics.py). Run it where edge-reid is installed, or in a checkout with any
Python from 3.10 on that has `cryptography` 42 or newer; nothing else is needed.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if not __package__:  # a script of a checkout: edge_reid lies beside deploy
    sys.path.append(str(Path(__file__).resolve().parents[2]))
try:
    from edge_reid.core.names import NAME_PATTERN, RESERVED_LEVELS
    from edge_reid.signing.certificate_holder import URN, CertificateHolder, common_name
    from edge_reid.wire.bridge_topics import bridge_lines
    from edge_reid.wire.nats_permissions import DEFAULT_GROUP, NatsUser, users_file
    from edge_reid.wire.nats_subjects import SinkSubjects
    from edge_reid.wire.topics import ANY, BRIDGE, ROLES, access_rules, discovery_rules
except ImportError:
    sys.exit(
        f"error: {__file__}: expected edge-reid to be installed, or its folder edge_reid beside"
        " deploy, got neither; run it in a checkout"
    )

CA_DAYS = 3650
CERT_DAYS = 730
RENEW_DAYS = 30
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
BRIDGE_FILE = Path(__file__).with_name("mosquitto-bridge.conf")


class PkiError(Exception):
    """Something to tell the person at the keyboard, in one line."""


@dataclass(frozen=True)
class Holder:
    """Whom a client certificate is for."""

    role: str
    name: str
    site: str | None = None
    """None: all sites."""
    cameras: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()
    """Agents whose cameras it takes over: until they are removed, both speak for them."""
    issue: int = 1
    """Rises whenever the rights change. A certificate cannot be called back, so the next one bears
    another user name, and the rules forget the one before."""

    @property
    def user(self) -> str:
        """Under this name the broker knows it: `gate-1`, then `gate-1.2`; no name holds a dot."""
        return self.name if self.issue == 1 else f"{self.name}.{self.issue}"

    @property
    def urn(self) -> str:
        query = [("site", self.site)] if self.site else []
        query += [("camera", camera) for camera in self.cameras]
        query += [("instead-of", name) for name in self.instead_of]
        return f"{URN}{self.role}?{urlencode(query)}"

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Holder:
        found = CertificateHolder.of(certificate)
        cameras, before = found.all("camera"), found.all("instead-of")
        return cls(found.role, found.name, found.site, cameras, before, found.issue)

    def rules(self, root: str) -> Iterator[str]:
        """Lines of Mosquitto's ACL file."""
        for rule in access_rules(self.role):
            access, _, pattern = rule.partition(" ")
            for camera in self.cameras if "{camera}" in pattern else ("",):
                topic = pattern.format(agent=self.name, camera=camera)
                yield f"topic {access} {root}/{self.site or ANY}/{topic}"
        for rule in discovery_rules(self.role, self.site):
            yield f"topic {rule.format(agent=self.name)}"

    def nats_user(self, root: str) -> NatsUser:
        """The same for NATS. A sink may be of the group that bears its name, or the usual one."""
        groups = [SinkSubjects(root, self.site, group) for group in (self.name, DEFAULT_GROUP)]
        return NatsUser.of(self.role, self.user, self.rules(root), groups)

    def bridge_file(self, root: str) -> str:
        """The connection to the hub, for the Mosquitto of a site."""
        _, _, block = BRIDGE_FILE.read_text(encoding="utf-8").partition("\n\n")
        block = block.replace("CLIENT_ID", f"{root}/{self.site}/bridge/{self.name}")
        return block + "\n".join((*bridge_lines(root, self.site or ANY), ""))

    def __str__(self) -> str:
        cameras = f", cameras {' '.join(self.cameras)}" if self.cameras else ""
        return f"{self.role} {self.name} (site {self.site or 'any'}{cameras})"


class Pki:
    """A folder: ca.crt, ca.key, server.crt, server.key, clients/NAME.{crt,key}, acl, removed; of a
    cluster nats-users.conf, of a bridge clients/NAME.conf.

    Private keys are readable by their owner only; keep ca.key off the broker. `said` tells what
    was done, line by line.
    """

    def __init__(self, folder: Path, root: str = "edge-reid") -> None:
        self.folder = folder
        self.root = root
        self.said: list[str] = []
        (folder / "clients").mkdir(parents=True, exist_ok=True, mode=0o700)

    def server(self, hosts: Sequence[str], *, is_cluster: bool = False) -> None:
        """The broker's certificate, for the names and addresses that clients dial; of a cluster,
        whose nodes dial each other, one for all of them.
        """
        names = [_host_name(host) for host in hosts]
        usage = (SERVER, CLIENT) if is_cluster else (SERVER,)
        self._keep_or_issue("server", f"server {' '.join(hosts)}", hosts[0], names, usage)
        if is_cluster:
            self.write_acl()

    def client(self, holder: Holder, *, renew_days: int = RENEW_DAYS) -> None:
        """A client's certificate, and its lines in the ACL."""
        holder = self._numbered(holder)
        self._check(holder)
        self._say_if_changed(holder)
        names = [x509.UniformResourceIdentifier(holder.urn)]
        stem = f"clients/{holder.name}"
        # with the key that its device has already, its certificate can go there over the air
        is_first = holder.instead_of and not (self.folder / f"{stem}.crt").exists()
        keys = (self.folder / "clients" / f"{name}.key" for name in holder.instead_of)
        key_file = next((key for key in keys if is_first and key.exists()), None)
        self._keep_or_issue(
            stem,
            str(holder),
            holder.user,
            names,
            (CLIENT,),
            renew_days=renew_days,
            key_file=key_file,
        )
        if holder.role == BRIDGE.role:
            self._write_if_new(
                f"{stem}.conf", holder.bridge_file(self.root), "to go to the site's broker"
            )
        self.write_acl()

    def renew(self, within_days: int) -> None:
        """Issue anew what ends soon."""
        server = self.folder / "server.crt"
        if server.exists():
            certificate = _read_certificate(server)
            names = _names(certificate)
            usage = _usage(certificate)
            host = common_name(certificate)
            self._keep_or_issue(
                "server", f"server {host}", host, names, usage, renew_days=within_days
            )
        for holder, _ in self.holders():
            self.client(holder, renew_days=within_days)

    def remove(self, name: str) -> None:
        """Take somebody's rights: its certificate still opens a connection that may do nothing.

        The name is used up: given to another, it would give the old certificate new rights.
        """
        certificate = self.folder / "clients" / f"{name}.crt"
        if not certificate.exists():
            raise PkiError(f"remove: expected somebody that `list` shows, got no {name}")
        holder = Holder.of(_read_certificate(certificate))
        _write(self._removed_file, "\n".join([*self._removed, name, ""]).encode(), mode=0o644)
        certificate.unlink()
        certificate.with_suffix(".key").unlink(missing_ok=True)
        self.said.append(f"removed {holder}")
        self.write_acl()

    def holders(self) -> list[tuple[Holder, datetime]]:
        """Everybody who has a client certificate, and until when."""
        found = [_read_certificate(path) for path in sorted(self.folder.glob("clients/*.crt"))]
        return [(Holder.of(cert), cert.not_valid_after_utc) for cert in found]

    def write_acl(self) -> None:
        """Make the ACL say what the certificates say."""
        lines = ["# Written by certs.py from the certificates; changes here are lost."]
        for holder, _ in self.holders():
            lines += ["", f"# {holder}", f"user {holder.user}", *holder.rules(self.root)]
        advice = f"{len(self.holders())} users; reload the broker"
        self._write_if_new("acl", "\n".join(lines) + "\n", advice)
        if self._is_cluster:
            users = [holder.nats_user(self.root) for holder, _ in self.holders()]
            self._write_if_new("nats-users.conf", users_file(users), advice)

    @property
    def _is_cluster(self) -> bool:
        path = self.folder / "server.crt"
        return path.exists() and CLIENT in _usage(_read_certificate(path))

    def _write_if_new(self, name: str, text: str, advice: str) -> None:
        path = self.folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            _write(path, text.encode(), mode=0o600)
            self.said.append(f"wrote   {path}: {advice}")

    def say_all(self) -> None:
        """List what there is."""
        for name in ("ca", "server"):
            path = self.folder / f"{name}.crt"
            if path.exists():
                ends = _read_certificate(path).not_valid_after_utc
                self.said.append(f"{name}: {_until(ends)}")
        self.said += [f"{holder}: {_until(ends)}" for holder, ends in self.holders()]

    @property
    def _removed_file(self) -> Path:
        return self.folder / "removed"

    @property
    def _removed(self) -> list[str]:
        file = self._removed_file
        return file.read_text(encoding="utf-8").split() if file.exists() else []

    def _numbered(self, holder: Holder) -> Holder:
        """With the number of its certificate: another one where the rights are others."""
        before = next((other for other, _ in self.holders() if other.name == holder.name), None)
        if before is None:
            return holder
        taken_over = holder.instead_of or before.instead_of  # it need be said only once
        holder = replace(holder, instead_of=taken_over)
        is_same = replace(holder, issue=before.issue) == before
        return replace(holder, issue=before.issue + (not is_same))

    def _say_if_changed(self, holder: Holder) -> None:
        for before in (other for other, _ in self.holders() if other.name == holder.name):
            if before.issue != holder.issue:
                self.said.append(f"changed {before}: its old certificate may do nothing any more")

    def _check(self, holder: Holder) -> None:
        if holder.name in self._removed:
            raise PkiError(
                f"{holder.name}: was removed, and its old certificate may still be about;"
                " take another name"
            )
        for name in (holder.name, *([holder.site] if holder.site else []), *holder.cameras):
            if not re.fullmatch(NAME_PATTERN, name):
                raise PkiError(f"{name!r}: expected a name of a-z, 0-9, _ and -, at most 64")
        self._check_before(holder)
        for camera in set(holder.cameras) & RESERVED_LEVELS:
            raise PkiError(f"camera {camera}: expected another name, it is a topic of its own")
        for other, _ in self.holders():
            if other.name == holder.name and other.role != holder.role:
                raise PkiError(
                    f"{holder.name}: is {other} already; take another name, or remove it"
                )
            shared = set(other.cameras) & set(holder.cameras)
            is_before = other.name in holder.instead_of or holder.name in other.instead_of
            is_free = other.name == holder.name or other.site != holder.site or is_before
            if shared and not is_free:
                raise PkiError(
                    f"camera {shared.pop()}: expected one that is nobody's, got it at {other};"
                    f" remove it there first, or say --instead-of {other.name}"
                )

    def _check_before(self, holder: Holder) -> None:
        """Raise PkiError unless those it takes over from are, or were, agents of its site."""
        known = {other.name for other, _ in self.holders() if other.site == holder.site}
        for name in set(holder.instead_of) - known - set(self._removed):
            raise PkiError(
                f"--instead-of {name}: expected an agent of site {holder.site}, got none"
            )

    def _keep_or_issue(
        self,
        stem: str,
        what: str,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usage: Sequence[x509.ObjectIdentifier],
        *,
        renew_days: int = RENEW_DAYS,
        key_file: Path | None = None,
    ) -> None:
        """Issue a certificate, with that key or a new one, unless a good one is there."""
        ca, ca_key = self._authority()
        path = self.folder / f"{stem}.crt"
        if path.exists() and path.with_suffix(".key").exists():
            found = _read_certificate(path)
            left = found.not_valid_after_utc - datetime.now(timezone.utc)
            is_same = _names(found) == list(names) and _usage(found) == tuple(usage)
            is_same = is_same and _is_signed_by(found, ca)
            if is_same and left > timedelta(days=renew_days):
                self.said.append(f"kept    {what}: {path}, {_until(found.not_valid_after_utc)}")
                return
        key = _read_key(key_file) if key_file else ec.generate_private_key(ec.SECP256R1())
        builder = _builder(common_name, CERT_DAYS, ca.subject).public_key(key.public_key())
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName(names), False),
            (x509.ExtendedKeyUsage(usage), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical)
        certificate = builder.sign(ca_key, hashes.SHA256())
        _write_pair(path, certificate, key)
        self.said.append(f"issued  {what}: {path}, {_until(certificate.not_valid_after_utc)}")

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        path = self.folder / "ca.crt"
        if not path.exists():
            self._make_authority(path)
        return _read_certificate(path), _read_key(path.with_suffix(".key"), "the key of the CA")

    def _make_authority(self, path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge-reid CA")])
        certificate = (
            _builder("edge-reid CA", CA_DAYS, subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(_ca_usage(), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_pair(path, certificate, key)
        self.said.append(f"issued  CA: {path}, {_until(certificate.not_valid_after_utc)}")


def _builder(common_name: str, days: int, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a device whose clock is a little slow
        .not_valid_after(now + timedelta(days=days))
    )


def _ca_usage() -> x509.KeyUsage:
    wanted = {"key_cert_sign", "crl_sign"}
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in wanted for name in every})


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return list(extension.value)


def _usage(certificate: x509.Certificate) -> tuple[x509.ObjectIdentifier, ...]:
    return tuple(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def _is_signed_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # cryptography names several, and all say no
        return False
    return True


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PkiError(
            f"{path}: expected a certificate: {error}; remove it to start over"
        ) from error


def _read_key(path: Path, what: str = "a private key") -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise PkiError(f"{path}: expected {what}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"{path}: expected a key on an elliptic curve")
    return key


def _until(ends: datetime) -> str:
    days = (ends - datetime.now(timezone.utc)).days
    return f"valid until {ends:%Y-%m-%d}, {days} days"


def _write_pair(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The key first: a certificate never lies there without it."""
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(path.with_suffix(".key"), secret, mode=0o600)
    _write(path, certificate.public_bytes(pem), mode=0o644)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """All of it or nothing, and never readable by more people for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fsync(descriptor)
    draft.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pki", type=Path, default=Path("pki"), help="the folder (default: pki)")
    parser.add_argument("--root", default="edge-reid", help="first topic level")
    verbs = parser.add_subparsers(dest="verb", required=True)
    server = verbs.add_parser("server")
    server.add_argument("hosts", nargs="+")
    server.add_argument("--cluster", action="store_true", help="of a NATS cluster: all its nodes")
    for role in ROLES:
        verb = verbs.add_parser(role)
        verb.add_argument("name")
        verb.add_argument("--site", required=role in {"agent", BRIDGE.role})
        if role == "agent":
            verb.add_argument("--camera", action="append", required=True, dest="cameras")
            verb.add_argument(
                "--instead-of",
                action="append",
                metavar="AGENT",
                help="whose cameras it takes over; it gets the key of the first that has one",
            )
    verbs.add_parser("list")
    verbs.add_parser("renew").add_argument("--within-days", type=int, default=RENEW_DAYS)
    verbs.add_parser("remove").add_argument("name")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 done, 1 not."""
    asked = _parser().parse_args(words)
    pki = Pki(asked.pki, asked.root)
    try:
        if asked.verb == "server":
            pki.server(asked.hosts, is_cluster=asked.cluster)
        elif asked.verb == "list":
            pki.say_all()
        elif asked.verb == "renew":
            pki.renew(asked.within_days)
        elif asked.verb == "remove":
            pki.remove(asked.name)
        else:
            cameras = tuple(sorted(getattr(asked, "cameras", None) or ()))
            before = tuple(getattr(asked, "instead_of", None) or ())
            pki.client(Holder(asked.verb, asked.name, asked.site, cameras, before))
    except (PkiError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for line in pki.said:
            print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
