"""Keys as they lie in files."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess

import pytest
from support.requirements import absent

from edge_reid.core.errors import UsageError
from edge_reid.signing.keys import SigningKey, read_public_key, read_signing_key


def test_both_halves_come_back_from_their_files(tmp_path):
    key = SigningKey.generate()
    private, public = key.write(tmp_path / "new" / "folder")
    assert read_public_key(public) == key.public
    assert read_signing_key(private).sign(b"hello") == key.sign(b"hello")
    assert key.public.signed(key.sign(b"hello"), b"hello")
    assert not key.public.signed(key.sign(b"hello"), b"hallo")
    assert not SigningKey.generate().public.signed(key.sign(b"hello"), b"hello")


def test_the_private_half_is_for_its_owner_only(tmp_path):
    private, _ = SigningKey.generate().write(tmp_path)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    private.chmod(0o640)
    with pytest.raises(UsageError, match="others may read it; run chmod 600"):
        read_signing_key(private)


def test_a_key_is_never_overwritten(tmp_path):
    private, public = SigningKey.generate().write(tmp_path)
    before = private.read_bytes(), public.read_bytes()
    with pytest.raises(UsageError, match="there is a key already; give another folder"):
        SigningKey.generate().write(tmp_path)
    assert (private.read_bytes(), public.read_bytes()) == before


def test_a_key_for_releases_lies_beside_one_for_galleries(tmp_path):
    SigningKey.generate().write(tmp_path)
    SigningKey.generate().write(tmp_path, "release")
    assert {it.name for it in tmp_path.iterdir()} == {
        *("gallery-signing.key", "gallery-signing.pub"),
        *("release-signing.key", "release-signing.pub"),
    }


def test_a_key_is_for_what_it_was_made_for(tmp_path):
    gallery, _ = SigningKey.generate().write(tmp_path)
    release, _ = SigningKey.generate().write(tmp_path, "release")
    assert read_signing_key(gallery, "gallery")
    assert read_signing_key(release, "release")
    with pytest.raises(
        UsageError, match=r"expected a key for releases, got one for galleries.*rename it"
    ):
        read_signing_key(gallery, "release")
    with pytest.raises(UsageError, match="expected a key for galleries, got one for releases"):
        read_signing_key(release, "gallery")
    other = release.rename(tmp_path / "our.key")
    assert read_signing_key(other, "gallery"), "only the name says what it is for"


def test_the_fingerprint_is_the_sha256_of_the_raw_key():
    public = SigningKey.generate().public
    assert public.fingerprint == hashlib.sha256(public.raw).hexdigest()
    assert public.fingerprint.startswith(public.key_id)


def test_openssl_can_check_what_we_sign(tmp_path):
    if shutil.which("openssl") is None:
        absent("openssl")
    key = SigningKey.generate()
    _, public = key.write(tmp_path)
    (tmp_path / "message").write_bytes(b"hello")
    (tmp_path / "signature").write_bytes(key.sign(b"hello"))
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
    files = ["-in", tmp_path / "message", "-sigfile", tmp_path / "signature"]
    assert b"Verified" in subprocess.run([*check, *files], check=True, capture_output=True).stdout


@pytest.mark.parametrize("read", [read_public_key, read_signing_key])
def test_what_is_no_key(tmp_path, read):
    path = tmp_path / "key"
    with pytest.raises(UsageError, match="cannot be read: No such file .*`edge-reid keys new`"):
        read(path)
    path.touch(0o600)
    path.write_text("hello")
    with pytest.raises(UsageError, match=r"expected an Ed25519 (public|private) key in PEM"):
        read(path)


def test_the_other_half_of_a_pair(tmp_path):
    """A public key is everybody's to read: to hide it would be no remedy."""
    private, public = SigningKey.generate().write(tmp_path)
    wanted = r"expected the private key, got the public one; give .* that ends in \.key"
    with pytest.raises(UsageError, match=wanted):
        read_signing_key(public)
    wanted = r"expected the public key, got the private one; give .* that ends in \.pub"
    with pytest.raises(UsageError, match=wanted):
        read_public_key(private)


def test_a_key_of_another_kind(tmp_path):
    if shutil.which("openssl") is None:
        absent("openssl")
    path = tmp_path / "rsa.key"
    new = ["openssl", "genpkey", "-algorithm", "ed448", "-out", path]
    subprocess.run(new, check=True, capture_output=True)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="expected an Ed25519 private key"):
        read_signing_key(path)
