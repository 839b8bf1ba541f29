"""A published gallery, bent everywhere: understood or refused, and a device never has half of one.

Most of it is signed by the right key here: what an attacker cannot get past the signature with, a
publisher with a mistake in it can.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.bent_bytes import CASES, bent, bent_json, bodies
from support.gallery_publisher import (
    DIMENSION,
    MODEL,
    Workshop,
    assert_same_people,
    in_force,
    portraits,
    take_in,
)

from edge_reid.core.errors import GalleryError, SnapshotError, UsageError
from edge_reid.gallery.export_file import read_portable, write_portable
from edge_reid.gallery.gallery_head import Head, Root, check_head, open_head, seal
from edge_reid.gallery.gallery_install import install
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.snapshot import load
from edge_reid.gallery.tree import decode
from edge_reid.signing.blobs import ref_of
from edge_reid.signing.keys import SigningKey, read_public_key

LIMIT_MB = 200
"""What one blob or payload may cost, whatever it holds: at most 8 MiB of text are parsed."""


@pytest.fixture
def workshop(tmp_path: Path):
    with Workshop(tmp_path) as workshop:
        workshop.store.remove("person 2")  # so that the leaf holds an erasure, too
        workshop.publish()
        yield workshop


def head_and_leaf(workshop: Workshop) -> tuple[Head, bytes]:
    """Of a gallery that is one leaf."""
    head = open_head((workshop.out / "head").read_bytes(), workshop.key.public)
    return head, (workshop.out / head.root.ref.paths[0]).read_bytes()


def test_a_head_that_was_changed_is_never_opened(workshop):
    sealed, dice = (workshop.out / "head").read_bytes(), random.Random(1)
    for _ in range(CASES):
        if (changed := bent(sealed, dice)) != sealed:
            with pytest.raises(SnapshotError):
                open_head(changed, workshop.key.public)


def test_a_head_that_is_signed_is_understood_or_refused(workshop):
    body, pinned = (workshop.out / "head").read_bytes()[129:], workshop.pinned()
    understood = 0
    for changed in bodies(body, 2):
        sealed = workshop.key.sign(changed).hex().encode() + b"\n" + changed
        try:
            head = open_head(sealed, workshop.key.public)
        except SnapshotError:
            continue
        understood += 1
        assert isinstance(head, Head)
        try:
            check_head(head, pinned)
        except SnapshotError:
            continue
        assert (head.model_id, head.dimension) == (MODEL, DIMENSION)
        assert max(head.size_bytes, head.size_in_memory_bytes) <= pinned.max_bytes
    assert 0 < understood < CASES


def test_a_blob_is_understood_or_refused(workshop):
    head, blob = head_and_leaf(workshop)
    text, dice = zlib.decompress(blob), random.Random(3)
    loaded = 0
    for case in range(CASES):
        body = bent(blob, dice) if case % 4 == 0 else zlib.compress(bent_json(text, dice), 1)
        named = head.model_copy(update={"root": root_of(body), "size_bytes": len(body)})
        try:
            found = load(named, lambda refs, body=body: [body] * len(refs)).snapshot
        except SnapshotError:
            continue
        loaded += 1
        assert found.vectors.shape == (head.templates, DIMENSION)
        assert len(found.identities) == head.identities
        np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0, atol=1e-6)
    assert 0 < loaded < CASES


def root_of(body: bytes) -> Root:
    ref = ref_of(body or b"\0")
    return Root(sha256=ref.sha256, size_bytes=ref.size_bytes)


@pytest.mark.parametrize("cases", [300, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_a_device_has_the_old_gallery_or_the_new_one(workshop, tmp_path, cases):
    """Signed, and wrong inside: taken whole, or not at all."""
    head, blob = head_and_leaf(workshop)
    text, dice = zlib.decompress(blob), random.Random(4)
    taken = 0
    with Replica.open(tmp_path / "device.db") as replica:
        take_in(workshop, replica)
        before = in_force(workshop, replica)
        for case in range(cases):
            body = zlib.compress(bent_json(text, dice) if case % 16 else text, 1)
            changes = {"version": head.version + 1 + taken, "root": root_of(body)}
            sized = head.model_copy(update={**changes, "size_bytes": len(body)})
            sealed = seal(sized, workshop.key)
            try:
                arrived = install(
                    sealed,
                    lambda refs, body=body: ((ref, body) for ref in refs),
                    replica,
                    workshop.pinned(),
                    now_utc_s=1.0,
                )
            except SnapshotError:
                assert_same_people(in_force(workshop, replica), before)
                continue
            assert arrived is not None
            taken += 1
            before = in_force(workshop, replica)
            assert_same_people(before, arrived.snapshot)
    assert cases // 20 < taken < cases


@pytest.mark.parametrize("cases", [2_000, pytest.param(CASES, marks=pytest.mark.soak)])
def test_an_exported_gallery_is_taken_whole_or_refused(tmp_path, cases):
    path, people = tmp_path / "people.jsonl", portraits("ana", count=2) + portraits("zoe", count=1)
    write_portable(path, people, MODEL, DIMENSION)
    lines, dice = path.read_bytes().splitlines(), random.Random(5)
    taken = 0
    for case in range(cases):
        changed = list(lines)
        at = dice.randrange(len(changed))
        changed[at] = (bent if case % 2 else bent_json)(changed[at], dice)
        path.write_bytes(b"\n".join(changed))
        try:
            found = read_portable(path, MODEL, DIMENSION)
        except GalleryError:
            continue
        taken += 1
        assert len(found) == 3
        for template in found:
            assert abs(np.linalg.norm(template.vector) - 1) < 1e-3
            assert np.isfinite(template.quality)
    assert 0 < taken < cases


@pytest.mark.parametrize("cases", [2_000, pytest.param(CASES, marks=pytest.mark.soak)])
def test_a_public_key_is_one_or_refused(tmp_path, cases):
    _, path = SigningKey.generate().write(tmp_path)
    whole, dice = path.read_bytes(), random.Random(6)
    for _ in range(cases):
        path.write_bytes(bent(whole, dice))
        try:
            assert len(read_public_key(path).raw) == 32
        except UsageError:
            continue


HUGE = {
    "a bomb": '" " * (1 << 28)',
    "wrong people": """LEAF % ("", ",".join(["1"] * (SIZE // 2)))""",
    "empty people": """LEAF % ("", ",".join(["{}"] * (SIZE // 3)))""",
    "wrong templates": """LEAF % ("", PERSON % ",".join(["{}"] * (SIZE // 3)))""",
    "wrong erasures": """LEAF % (",".join(["{}"] * (SIZE // 3)), "")""",
    "a branch of anything": """BRANCH % ",".join(f'"{n}":1' for n in range(SIZE // 12))""",
    "brackets": '"[" * SIZE',
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_blob_takes_no_more_memory_than_it_may(text):
    """In a process of its own, whose memory says what the worst moment took."""
    program = textwrap.dedent(f"""
        import resource, zlib
        from edge_reid.core.errors import SnapshotError
        from edge_reid.gallery.tree import decode
        SIZE = (8 << 20) - 200
        LEAF = '{{"schema":"edge-reid.gallery-leaf/1","erased":[%s],"people":[%s]}}'
        BRANCH = '{{"schema":"edge-reid.gallery-branch/1","children":{{%s}}}}'
        PERSON = '{{"identity":"a","vectors":"","templates":[%s]}}'
        body = zlib.compress(({text}).encode(), 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            decode(body)
        except SnapshotError:
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=_bounded,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= LIMIT_MB


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def test_bytes_that_are_no_blob(workshop):
    dice = random.Random(7)
    for _ in range(CASES):
        with pytest.raises(SnapshotError):
            decode(dice.randbytes(dice.randrange(200)))
