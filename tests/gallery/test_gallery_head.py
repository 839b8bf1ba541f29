"""Which galleries a device takes for its own."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gallery_publisher import DIMENSION, MAX_BYTES, MODEL, SITE

from edge_reid.core.errors import SnapshotError
from edge_reid.gallery.gallery_head import Head, Root, TrustPolicy, check_head, open_head, seal
from edge_reid.signing.blobs import MAX_HEAD_BYTES
from edge_reid.signing.keys import SigningKey

KEY = SigningKey.generate()
PINNED = TrustPolicy(KEY.public, SITE, MODEL, DIMENSION, MAX_BYTES)


def head(**changes: object) -> Head:
    fields = {
        "site": SITE,
        "model_id": MODEL,
        "dimension": DIMENSION,
        "version": 7,
        "root": Root(sha256="ab" * 32, size_bytes=100),
        "blobs": 1,
        "size_bytes": 100,
        "identities": 2,
        "templates": 3,
        "created_utc_s": 1_760_000_000.123,
        "key_id": KEY.public.key_id,
    }
    return Head(**(fields | changes))


def test_what_was_sealed_opens_again():
    sealed = seal(head(), KEY)
    assert open_head(sealed, KEY.public) == head()
    check_head(head(), PINNED)


def test_anybody_can_read_it_and_check_it():
    signature, body = seal(head(), KEY).split(b"\n", 1)
    assert KEY.public.signed(bytes.fromhex(signature.decode()), body)
    assert json.loads(body)["schema"] == "edge-reid.gallery-head/1"
    assert json.loads(body)["version"] == 7


def test_every_flipped_bit_is_noticed():
    sealed = seal(head(), KEY)
    for place in range(len(sealed)):
        for bit in range(8):
            forged = bytearray(sealed)
            forged[place] ^= 1 << bit
            with pytest.raises(SnapshotError, match="signature is not of the pinned key"):
                open_head(bytes(forged), KEY.public)


def test_every_cut_is_noticed():
    sealed = seal(head(), KEY)
    for length in range(len(sealed)):
        with pytest.raises(SnapshotError, match="signature is not of the pinned key"):
            open_head(sealed[:length], KEY.public)


def test_another_key():
    other = SigningKey.generate()
    with pytest.raises(SnapshotError, match=f"not of the pinned key {KEY.public.key_id}"):
        open_head(seal(head(), other), KEY.public)


@given(st.binary(max_size=2 * MAX_HEAD_BYTES))
def test_noise_is_refused(noise):
    with pytest.raises(SnapshotError):
        open_head(noise, KEY.public)


@given(st.binary(max_size=MAX_HEAD_BYTES - 129))
def test_noise_is_refused_even_when_signed(noise):
    with pytest.raises(SnapshotError, match="signed, but of another kind"):
        open_head(KEY.sign(noise).hex().encode() + b"\n" + noise, KEY.public)


def test_a_head_of_a_later_kind():
    body = head().model_dump_json(by_alias=True).replace("gallery-head/1", "gallery-head/2")
    sealed = KEY.sign(body.encode()).hex().encode() + b"\n" + body.encode()
    with pytest.raises(SnapshotError, match="of another kind: schema: .*update edge-reid"):
        open_head(sealed, KEY.public)


def test_a_head_that_is_too_long_is_not_even_checked():
    with pytest.raises(SnapshotError, match=f"at most {MAX_HEAD_BYTES} bytes, got"):
        open_head(seal(head(key_id="x" * MAX_HEAD_BYTES), KEY), KEY.public)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site": "farm"}, "expected one of site lab, got one of farm"),
        ({"model_id": "fedcba9876543210"}, f"model {MODEL} .* got model fedcba9876543210"),
        ({"dimension": 32}, "with 64 numbers, got .* with 32"),
        ({"size_bytes": MAX_BYTES + 1}, f"at most {MAX_BYTES} bytes, got {MAX_BYTES + 1}"),
        (
            {"templates": MAX_BYTES},
            f"got {MAX_BYTES * DIMENSION * 4}; raise gallery_sync.max_bytes",
        ),
    ],
)
def test_a_gallery_that_is_not_for_this_device(changes, words):
    with pytest.raises(SnapshotError, match=words):
        check_head(head(**changes), PINNED)
