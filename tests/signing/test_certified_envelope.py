"""Messages that certificates sign: whose they are, and what is none."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from support.secured_broker import certs

from edge_reid.core.errors import UsageError
from edge_reid.signing.certified_envelope import CertificateAuthority, CertifiedKey
from edge_reid.signing.envelope import EnvelopeError

NOW = datetime.now(timezone.utc)
BODY = b'{"some": "JSON"}'
MOST = 4096


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for words in ("agent gate-1 --site lab --camera gate", "commander ops"):
        assert certs(folder, words)[0] == 0
    return folder


@pytest.fixture(scope="module")
def authority(pki):
    return CertificateAuthority.read(pki / "ca.crt")


def key_of(pki, name):
    stem = pki / "clients" / name
    return CertifiedKey.read(stem.with_suffix(".crt"), stem.with_suffix(".key"))


def test_who_signed_is_told_with_the_body(pki, authority):
    holder, body = authority.verify(key_of(pki, "gate-1").sign(BODY), MOST, NOW)
    assert (holder.role, holder.name, holder.site) == ("agent", "gate-1", "lab")
    assert holder.all("camera") == ("gate",)
    assert body == BODY
    holder, _ = authority.verify(key_of(pki, "ops").sign(BODY), MOST, NOW)
    assert str(holder) == "commander ops of any site"


def test_a_certificate_of_a_later_issue_is_of_the_same_holder(tmp_path):
    for cameras in ("--camera gate", "--camera gate --camera door"):
        assert certs(tmp_path, f"agent gate-1 --site lab {cameras}")[0] == 0
    holder = key_of(tmp_path, "gate-1").holder
    assert (holder.name, holder.issue) == ("gate-1", 2)


def test_whatever_is_changed_is_refused(pki, authority):
    signed = key_of(pki, "gate-1").sign(BODY)
    for place in range(0, len(signed), 7):
        bent = bytearray(signed)
        bent[place] ^= 1
        with pytest.raises(EnvelopeError):
            authority.verify(bytes(bent), MOST, NOW)


def test_another_spelling_of_a_signature_is_refused(pki, authority):
    """The bits of its last digit that mean nothing: every bit that is bent counts."""
    for _ in range(50):  # signatures are of several lengths, and of some the last digit is whole
        certificate, signature, body = key_of(pki, "gate-1").sign(BODY).split(b"\n", 2)
        if signature.endswith(b"="):
            break
    place = len(signature.rstrip(b"=")) - 1
    digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bent = bytearray(signature)
    bent[place] = digits[digits.index(signature[place]) ^ 1]
    with pytest.raises(EnvelopeError, match="another spelling"):
        authority.verify(b"\n".join((certificate, bytes(bent), body)), MOST, NOW)


def test_a_signature_is_of_this_use_alone(pki, authority):
    """Of what the key has signed elsewhere, a handshake of TLS say, no message can be made."""
    import base64

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    key = key_of(pki, "gate-1")
    elsewhere = base64.b64encode(key._key.sign(BODY, ec.ECDSA(SHA256())))
    with pytest.raises(EnvelopeError, match="the signature is not of agent gate-1"):
        authority.verify(b"\n".join((key._certificate, elsewhere, BODY)), MOST, NOW)


def test_a_certificate_of_anybody_with_odd_names_is_refused(authority):
    """The library does not know the kind of this name: its error has no base in common."""
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    odd = x509.UnrecognizedExtension(
        x509.SubjectAlternativeName.oid,
        bytes.fromhex("3002a300"),  # an x400Address
    )
    certificate = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(1))
        .not_valid_after(NOW + timedelta(1))
        .add_extension(odd, critical=False)
        .sign(key, SHA256())
    )
    encoded = base64.b64encode(certificate.public_bytes(Encoding.DER))
    with pytest.raises(EnvelopeError, match="not of this site's authority"):
        authority.verify(b"\n".join((encoded, b"", BODY)), MOST, NOW)


def test_another_authoritys_gate_is_nobody(tmp_path, authority):
    assert certs(tmp_path, "agent gate-1 --site lab --camera gate")[0] == 0
    with pytest.raises(EnvelopeError, match="not of this site's authority"):
        authority.verify(key_of(tmp_path, "gate-1").sign(BODY), MOST, NOW)


@pytest.mark.parametrize("days", [-2, 800])
def test_a_certificate_holds_for_its_time(pki, authority, days):
    signed = key_of(pki, "gate-1").sign(BODY)
    with pytest.raises(EnvelopeError, match="does not hold now"):
        authority.verify(signed, MOST, NOW + timedelta(days=days))


@pytest.mark.parametrize("signed", [b"", b"\n\n", b"AAAA\nAAAA\n{}", b"\xff\n\n", 5000 * b"x"])
def test_what_is_no_such_message_is_refused(authority, signed):
    with pytest.raises(EnvelopeError):
        authority.verify(signed, MOST, NOW)


def test_a_server_is_nobody(pki, authority):
    assert certs(pki, "server localhost")[0] == 0
    with pytest.raises(UsageError, match="one that names no holder"):
        CertifiedKey.read(pki / "server.crt", pki / "server.key")


def test_files_that_do_not_fit_are_told(pki, tmp_path):
    clients = pki / "clients"
    with pytest.raises(UsageError, match="the key of another certificate"):
        CertifiedKey.read(clients / "gate-1.crt", clients / "ops.key")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        CertifiedKey.read(tmp_path / "none.crt", clients / "ops.key")
    with pytest.raises(UsageError, match="expected certificates of authorities in PEM"):
        CertificateAuthority.read(clients / "ops.key")
