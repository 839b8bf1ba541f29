"""A gallery as a tree of blobs."""

from __future__ import annotations

import hashlib
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gallery_publisher import portraits

from edge_reid.core.errors import SnapshotError
from edge_reid.gallery.snapshot import people_of
from edge_reid.gallery.tree import (
    LEAF_BYTES,
    Branch,
    Erasure,
    Leaf,
    decode,
    encode,
    grow,
    place_of,
    walk,
)
from edge_reid.signing.blobs import MAX_BLOB_BYTES, ref_of


def people(count, start=0):
    return list(
        people_of([it for n in range(start, start + count) for it in portraits(f"person {n}")])
    )


def leaves(tree, **limits):
    bounds = {"max_blobs": len(tree.blobs), "max_bytes": sum(map(len, tree.blobs.values()))}
    return list(
        walk(tree.root, lambda refs: [tree.blobs[ref] for ref in refs], **(bounds | limits))
    )


def names(found):
    return sorted(person.identity for leaf in found for person in leaf.people)


@pytest.mark.parametrize("count", [0, 1, 5, 60, 400])
def test_everybody_is_found_again(count):
    everybody = people(count)
    erased = [Erasure(digest=place_of("zoe"), version=3, erased_utc_s=1.0)]
    found = leaves(grow(everybody, erased))
    assert names(found) == sorted(person.identity for person in everybody)
    assert [each for leaf in found for each in leaf.erased] == erased


def test_the_order_of_people_does_not_matter():
    assert grow(people(60), []) == grow(people(60)[::-1], [])


def test_a_small_gallery_is_one_blob():
    assert len(grow(people(5), []).blobs) == 1


def test_a_leaf_is_small_unless_one_person_is_large():
    tree = grow(people(400), [])
    nodes = [decode(body) for body in tree.blobs.values()]
    assert sum(isinstance(node, Leaf) for node in nodes) > 16
    assert max(len(zlib.decompress(body)) for body in tree.blobs.values()) <= LEAF_BYTES
    (large,) = people_of(portraits("person 7", count=200))
    assert len(grow([large], []).blobs) == 1


def test_one_changed_person_changes_one_way_through_the_tree():
    before = grow(people(400), [])
    (anew,) = people_of(portraits("person 7", take=1))
    after = grow([anew, *(it for it in people(400) if it.identity != "person 7")], [])
    new = after.blobs.keys() - before.blobs.keys()
    kinds = sorted(type(decode(after.blobs[ref])).__name__ for ref in new)
    assert kinds in (["Branch", "Leaf"], ["Branch", "Branch", "Leaf"])


def test_the_name_of_a_blob_is_its_hash():
    for ref, body in grow(people(60), []).blobs.items():
        assert ref.sha256 == hashlib.sha256(body).hexdigest()
        assert ref.size_bytes == len(body)


def test_all_spellings_of_a_name_have_one_place():
    assert place_of("Zoë") == place_of("ZOE\u0308") == hashlib.sha256("zoë".encode()).hexdigest()


def test_more_than_the_head_says_is_refused_before_it_is_fetched():
    tree = grow(people(60), [])
    for limits in ({"max_blobs": len(tree.blobs) - 1}, {"max_bytes": 1000}):
        fetched = []

        def fetch(refs, fetched=fetched):
            fetched.extend(refs)
            return [tree.blobs[ref] for ref in refs]

        bounds = {"max_blobs": 1 << 20, "max_bytes": 1 << 30}
        with pytest.raises(SnapshotError, match="got more; publish it again"):
            list(walk(tree.root, fetch, **(bounds | limits)))
        assert len(fetched) <= 1


def test_a_tree_that_folds_back_on_itself_is_refused():
    """16 times the same child, many levels: small to send, endless to walk."""
    blobs = {}
    below = encode(Leaf(people=(), erased=()))
    for _ in range(20):
        ref = ref_of(below)
        blobs[ref] = below
        below = encode(
            Branch(children={digit: (ref.sha256, len(below)) for digit in "0123456789abcdef"})
        )
    blobs[ref_of(below)] = below
    with pytest.raises(SnapshotError, match="got more"):
        list(
            walk(
                ref_of(below),
                lambda refs: [blobs[ref] for ref in refs],
                max_blobs=len(blobs),
                max_bytes=1 << 20,
            )
        )


def test_somebody_in_another_ones_place_is_refused():
    leaf = encode(Leaf(people=tuple(people(1)), erased=()))
    elsewhere = next(d for d in "0123456789abcdef" if not place_of("person 0").startswith(d))
    root = encode(Branch(children={elsewhere: (ref_of(leaf).sha256, len(leaf))}))
    blobs = {ref_of(leaf): leaf, ref_of(root): root}
    with pytest.raises(SnapshotError, match=f"expected identities at {elsewhere}"):
        list(
            walk(
                ref_of(root),
                lambda refs: [blobs[ref] for ref in refs],
                max_blobs=9,
                max_bytes=1 << 20,
            )
        )


def test_a_name_that_nobody_could_enroll_is_refused():
    (person,) = people(1)
    blob = encode(Leaf(people=(person.model_copy(update={"identity": "\0"}),), erased=()))
    with pytest.raises(SnapshotError, match="expected 1 to 64 printable characters"):
        list(walk(ref_of(blob), lambda _: [blob], max_blobs=1, max_bytes=1 << 20))


def test_a_person_twice_is_refused():
    twice = Leaf(people=(*people(1), *people(1)), erased=())
    blob = encode(twice)
    with pytest.raises(SnapshotError, match="each once"):
        list(walk(ref_of(blob), lambda _: [blob], max_blobs=1, max_bytes=1 << 20))


def test_a_bomb_is_not_unpacked():
    bomb = zlib.compress(b" " * (MAX_BLOB_BYTES + 1))
    assert len(bomb) < 20_000
    with pytest.raises(SnapshotError, match="bytes unpacked, got more"):
        decode(bomb)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise):
    for body in (noise, zlib.compress(noise)):
        with pytest.raises(SnapshotError):
            decode(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda it: st.lists(it) | st.dictionaries(st.text(), it),
    )
)
def test_json_of_another_kind_is_refused(content):
    with pytest.raises(SnapshotError, match="of another kind"):
        decode(zlib.compress(json.dumps(content).encode()))


def test_a_cut_blob_and_one_with_an_appendix_are_refused():
    body = encode(Leaf(people=tuple(people(1)), erased=()))
    for changed in (body[:-1], body[: len(body) // 2], body + b"\0"):
        with pytest.raises(SnapshotError, match="expected one zlib stream"):
            decode(changed)
