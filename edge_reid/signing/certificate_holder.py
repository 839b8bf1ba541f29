"""Whom a certificate of a site is for, as `deploy/broker/certs.py` issues them.

Its common name is the holder's, from the second issue on with a dot and its number: `gate-1.2`. A
name of the URI kind says the rest: `urn:edge-reid:agent?site=lab&camera=gate`. Nothing but
`cryptography` is imported, for `certs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.x509.oid import NameOID

URN = "urn:edge-reid:"


@dataclass(frozen=True, slots=True)
class CertificateHolder:
    """What a certificate says of its holder."""

    role: str
    name: str
    issue: int = 1
    fields: tuple[tuple[str, str], ...] = ()
    """`site`, `camera` and so on, in the order in which they stand there."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> CertificateHolder:
        """Read it from a certificate, which is not checked.

        Raises:
            ValueError: it does not say whom it is for.
        """
        kind = x509.SubjectAlternativeName
        try:
            names = certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        urns = [uri.removeprefix(URN) for uri in uris if uri.startswith(URN)]
        if len(urns) != 1:
            raise ValueError("expected a certificate of certs.py, got one that names no holder")
        role, _, query = urns[0].partition("?")
        name, _, issue = common_name(certificate).partition(".")
        return cls(role, name, int(issue or 1), tuple(parse_qsl(query)))

    @property
    def site(self) -> str | None:
        """None: all sites."""
        return next(iter(self.all("site")), None)

    def all(self, field: str) -> tuple[str, ...]:
        """Every value of a field."""
        return tuple(value for name, value in self.fields if name == field)

    def __str__(self) -> str:
        return f"{self.role} {self.name} of {f'site {self.site}' if self.site else 'any site'}"


def common_name(certificate: x509.Certificate) -> str:
    """Of its subject.

    Raises:
        ValueError: there is none, or more than one.
    """
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)
