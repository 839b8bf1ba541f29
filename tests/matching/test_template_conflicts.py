from __future__ import annotations

import numpy as np
import pytest
from support.gallery_examples import template, unit_vectors

from edge_reid.core.types import Candidate
from edge_reid.matching.template_conflicts import TemplateConflict, find_conflicts, same_photos

A, B, C = unit_vectors(3)


def new(vector, identity="new"):
    return template(identity, vector=vector)


def enrolled(*vectors):
    """A template each of `id-0`, `id-1`, …"""
    return [new(vector, f"id-{number}") for number, vector in enumerate(vectors)]


def towards(start, goal, share):
    mixed = (1 - share) * start + share * goal
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def test_templates_near_their_own_identity_do_not_clash():
    before = enrolled(B, C)
    photos = [new(A), new(towards(A, B, 0.1))]
    assert find_conflicts(photos, before, threshold=0.9) == ()


def test_a_template_nearer_to_somebody_else_clashes():
    before = enrolled(B, C)
    stray = towards(B, A, 0.2)

    (clash,) = find_conflicts([new(A), new(towards(A, C, 0.1)), new(stray)], before, threshold=0.9)

    assert (clash.number, clash.other.identity) == (2, "id-0")
    assert clash.other.similarity == pytest.approx(float(stray @ B), abs=1e-6)
    assert clash.own_similarity == pytest.approx(
        max(float(stray @ A), float(stray @ towards(A, C, 0.1))), abs=1e-6
    )


def test_templates_enrolled_before_are_its_own_too():
    before = enrolled(A, B)
    assert find_conflicts([new(towards(A, B, 0.2), "id-0")], before, threshold=0.0) == ()
    (clash,) = find_conflicts([new(towards(B, A, 0.2), "id-0")], before, threshold=0.9)
    assert clash.other.identity == "id-1"


def test_a_template_alone_clashes_with_whom_it_would_be_taken_for():
    before = enrolled(B)
    similarity = float(towards(B, A, 0.3) @ B)
    lone = [new(towards(B, A, 0.3))]
    assert find_conflicts(lone, before, threshold=similarity + 0.01) == ()
    assert find_conflicts(lone, before, threshold=similarity - 0.01) == (
        TemplateConflict(0, Candidate("id-0", pytest.approx(similarity, abs=1e-6)), None),
    )


def test_in_an_empty_gallery_nothing_clashes():
    assert find_conflicts([new(A)], [], threshold=0.0) == ()


class TestSamePhotos:
    def test_whose_photo_it_is_already(self):
        before = enrolled(A, B)
        twin = template("new", vector=B, source_sha256=before[1].source_sha256)
        assert same_photos([new(C), twin], before, threshold=0.9) == {1: "id-1"}

    def test_not_the_same_identitys(self):
        before = enrolled(A)
        twin = template("id-0", vector=A, source_sha256=before[0].source_sha256)
        assert same_photos([twin], before, threshold=0.9) == {}

    def test_two_people_of_one_scene_are_not_meant(self):
        before = enrolled(A)
        beside = template("new", vector=B, source_sha256=before[0].source_sha256)
        assert same_photos([beside], before, threshold=0.9) == {}
