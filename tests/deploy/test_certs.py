"""deploy/broker/certs.py: the CA, certificates and access rules of a site."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from support.secured_broker import certs, load_certs

GATE = "agent gate-1 --site lab --camera gate --camera yard"


def said(pki: Path, words: str) -> str:
    code, out, complaint = certs(pki, words)
    assert code == 0, complaint
    return out


def contents(pki: Path) -> dict[str, bytes]:
    return {str(it.relative_to(pki)): it.read_bytes() for it in pki.rglob("*") if it.is_file()}


def test_it_says_what_it_did_and_until_when(tmp_path: Path) -> None:
    out = said(tmp_path, GATE)
    ends = datetime.now(timezone.utc) + timedelta(days=730)
    assert f"issued  CA: {tmp_path}/ca.crt, valid until" in out
    assert (
        f"issued  agent gate-1 (site lab, cameras gate yard): {tmp_path}/clients/gate-1.crt,"
        f" valid until {ends:%Y-%m-%d}" in out
    )
    assert f"wrote   {tmp_path}/acl: 1 users; reload the broker" in out


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    for words in ("server localhost 192.0.2.7", GATE):
        said(tmp_path, words)
    before = contents(tmp_path)
    for words in ("server localhost 192.0.2.7", GATE, "renew", "list"):
        out = said(tmp_path, words)
        assert "issued" not in out
    assert contents(tmp_path) == before


def test_private_keys_and_rules_are_the_owners_alone(tmp_path: Path) -> None:
    for words in ("server localhost", GATE):
        said(tmp_path, words)
    secret = [*tmp_path.rglob("*.key"), tmp_path / "acl"]
    assert len(secret) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_an_agent_that_moves_gets_a_new_certificate_and_new_rules(tmp_path: Path) -> None:
    said(tmp_path, GATE)
    out = said(tmp_path, "agent gate-1 --site lab --camera door")
    assert "issued  agent gate-1 (site lab, cameras door)" in out
    acl = (tmp_path / "acl").read_text()
    assert "topic write edge-reid/lab/door/hit" in acl
    assert "edge-reid/lab/gate/" not in acl


def user_of(pki: Path, name: str) -> str:
    """The user name by which the broker knows the certificate that lies there."""
    certificate = x509.load_pem_x509_certificate((pki / f"clients/{name}.crt").read_bytes())
    (user,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(user.value)


def test_other_rights_are_another_users(tmp_path: Path) -> None:
    """Nobody can call a certificate back, so the rules forget its user."""
    said(tmp_path, GATE)
    assert user_of(tmp_path, "gate-1") == "gate-1"
    for number, words in enumerate(
        ("agent gate-1 --site farm --camera gate", "agent gate-1 --site farm --camera shed"), 2
    ):
        assert "changed agent gate-1" in said(tmp_path, words)
        assert user_of(tmp_path, "gate-1") == f"gate-1.{number}"
        users = [it for it in (tmp_path / "acl").read_text().splitlines() if it.startswith("user")]
        assert users == [f"user gate-1.{number}"]
    rules = (tmp_path / "acl").read_text()
    assert "edge-reid/farm/agents/gate-1/status" in rules, "in topics it is called as before"
    said(tmp_path, "renew --within-days 800")
    assert user_of(tmp_path, "gate-1") == "gate-1.3", "the same rights stay the same user's"
    assert "agent gate-1 (site farm, cameras shed)" in said(tmp_path, "list")
    assert "removed agent gate-1" in said(tmp_path, "remove gate-1")


YARD = "agent yard-1 --site lab --camera north --camera south"
BEFORE = " --instead-of yard-1-north --instead-of yard-1-south"


def per_camera(pki: Path) -> None:
    """The yard as it was when each camera had an agent."""
    for camera in ("north", "south"):
        said(pki, f"agent yard-1-{camera} --site lab --camera {camera}")


def test_one_agent_takes_over_from_those_of_its_cameras_with_a_key_that_its_device_has(
    tmp_path: Path,
) -> None:
    per_camera(tmp_path)
    assert f"issued  {YARD.partition(' --')[0]} (site lab, cameras north south)" in said(
        tmp_path, YARD + BEFORE
    )
    key = (tmp_path / "clients/yard-1.key").read_bytes()
    assert key == (tmp_path / "clients/yard-1-north.key").read_bytes()
    rules = (tmp_path / "acl").read_text().splitlines()
    assert rules.count("topic write edge-reid/lab/south/hit") == 2, "both, until one is removed"
    before = contents(tmp_path)
    for words in (YARD + BEFORE, YARD, "renew"):
        assert "issued" not in said(tmp_path, words)
    assert contents(tmp_path) == before
    for camera in ("north", "south"):
        said(tmp_path, f"remove yard-1-{camera}")
    assert (tmp_path / "acl").read_text().count("topic write edge-reid/lab/south/hit") == 1
    assert "issued" in said(tmp_path, "renew --within-days 800")
    assert (tmp_path / "clients/yard-1.key").read_bytes() != key


def test_who_takes_over_from_one_that_was_removed_gets_a_key_that_is_there(tmp_path: Path) -> None:
    per_camera(tmp_path)
    said(tmp_path, "remove yard-1-north")
    assert "issued  agent yard-1" in said(tmp_path, YARD + BEFORE)
    key = (tmp_path / "clients/yard-1.key").read_bytes()
    assert key == (tmp_path / "clients/yard-1-south.key").read_bytes()
    said(tmp_path, "remove yard-1")
    said(tmp_path, "remove yard-1-south")
    assert "issued" in said(tmp_path, YARD.replace("yard-1", "yard-2") + BEFORE), "with a new one"


def test_renew_takes_what_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ("server localhost", GATE, "reader desk"):
        said(tmp_path, words)
    old = contents(tmp_path)
    out = said(tmp_path, "renew --within-days 800")
    new = contents(tmp_path)
    assert out.count("issued") == 3
    assert {name for name in old if old[name] != new[name]} == {
        *("server.crt", "server.key", "clients/gate-1.crt", "clients/gate-1.key"),
        *("clients/desk.crt", "clients/desk.key"),
    }
    ca = x509.load_pem_x509_certificate(new["ca.crt"])
    x509.load_pem_x509_certificate(new["clients/desk.crt"]).verify_directly_issued_by(ca)


def test_what_a_lost_ca_signed_is_issued_anew(tmp_path: Path) -> None:
    said(tmp_path, GATE)
    (tmp_path / "ca.crt").unlink()
    out = said(tmp_path, GATE)
    assert "issued  CA" in out
    assert "issued  agent gate-1" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("agent Gate --site lab --camera gate", "'Gate': expected a name of a-z, 0-9, _ and -"),
        ("agent gate-2 --site + --camera gate", "'+': expected a name"),
        ("agent gate-2 --site lab --camera gate/x", "'gate/x': expected a name"),
        ("agent gate-2 --site lab --camera gate", "expected one that is nobody's, got it at"),
        ("agent gate-2 --site lab --camera identities", "camera identities: expected another name"),
        (f"{YARD} --instead-of shed-1", "--instead-of shed-1: expected an agent of site lab"),
        ("agent gate-2 --site lab --camera gate", "first, or say --instead-of gate-1"),
        ("reader gate-1", "gate-1: is agent gate-1 (site lab, cameras gate yard) already"),
        ("remove nobody", "expected somebody that `list` shows, got no nobody"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(
    tmp_path: Path, words: str, complaint: str
) -> None:
    said(tmp_path, GATE)
    before = contents(tmp_path)
    code, _, err = certs(tmp_path, words)
    assert code == 1
    assert err.startswith("error: ")
    assert complaint in err
    assert contents(tmp_path) == before


def test_a_ca_without_its_key_is_said(tmp_path: Path) -> None:
    said(tmp_path, GATE)
    (tmp_path / "ca.key").unlink()
    code, _, err = certs(tmp_path, "reader desk")
    assert code == 1
    assert "ca.key: expected the key of the CA" in err


def test_the_rules_name_every_topic_an_agent_uses() -> None:
    """Whoever gives agents a new topic gives them the right to it too."""
    from support.decided_tracks import ADDRESS

    from edge_reid.wire.topics import Address

    holder = load_certs().Holder("agent", ADDRESS.agent, ADDRESS.site, ("gate",))
    rules = "\n".join(holder.rules(ADDRESS.root))
    topics = {
        name: value(ADDRESS, "gate") if callable(value) else getattr(ADDRESS, name)
        for name, value in vars(Address).items()
        if not name.startswith("_") and name not in Address.__slots__ and name != "client_id"
    }
    for topic in topics.values():
        assert topic in rules or topic.rsplit("/", 1)[0] in rules, topic


def test_a_cluster_has_one_certificate_for_its_nodes_and_users_of_its_own(tmp_path: Path) -> None:
    said(tmp_path, GATE)
    assert not (tmp_path / "nats-users.conf").exists()
    out = said(tmp_path, "server n1.example n2.example --cluster")
    assert f"wrote   {tmp_path}/nats-users.conf: 1 users; reload the broker" in out
    users = (tmp_path / "nats-users.conf").read_text()
    assert 'user: "CN=gate-1"' in users
    assert '"edge-reid.lab.yard.hit"' in users
    said(tmp_path, "agent gate-1 --site lab --camera door")
    users = (tmp_path / "nats-users.conf").read_text()
    assert 'user: "CN=gate-1.2"' in users
    assert "edge-reid.lab.yard" not in users
    said(tmp_path, "remove gate-1")
    assert "gate-1" not in (tmp_path / "nats-users.conf").read_text()


def test_a_renewed_certificate_of_a_cluster_is_still_one(tmp_path: Path) -> None:
    said(tmp_path, "server n1.example n2.example --cluster")
    before = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    said(tmp_path, "renew --within-days 800")
    after = x509.load_pem_x509_certificate((tmp_path / "server.crt").read_bytes())
    assert after.serial_number != before.serial_number
    for kind in (x509.ExtendedKeyUsage, x509.SubjectAlternativeName):
        old, new = (it.extensions.get_extension_for_class(kind).value for it in (before, after))
        assert old == new


def test_a_bridge_is_written_for_the_broker_of_its_site(tmp_path: Path) -> None:
    out = said(tmp_path, "bridge farm --site farm")
    file = tmp_path / "clients" / "farm.conf"
    assert f"wrote   {file}: to go to the site's broker" in out
    lines = file.read_text().splitlines()
    assert lines[0] == "connection hub"
    assert "remote_clientid edge-reid/farm/bridge/farm" in lines
    assert "topic edge-reid/farm/+/hit out 1" in lines
    assert "wrote" not in said(tmp_path, "bridge farm --site farm")
