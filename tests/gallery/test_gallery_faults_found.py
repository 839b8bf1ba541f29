"""A gallery with known faults: each is found, told with its numbers, and the cure does no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.gallery_examples import template

from edge_reid.core.types import Template
from edge_reid.gallery.findings import Bars, Finding, Kind
from edge_reid.gallery.gallery_doctor import examine
from edge_reid.matching.neighbours import NOBODY, Neighbours

DIMENSION = 64
BARS = Bars(threshold=0.75, margin=0.05, genuine=(0.02, 0.38), quality=0.2)


def looks(
    identity: str, seed: int, count: int, *, like: float = 0.9, first_id: int = 1
) -> list[Template]:
    """Templates around the face that belongs to a seed, each as similar to it as `like`."""
    rng = np.random.default_rng(seed)
    centre = unit(rng.normal(size=DIMENSION))
    return [
        replace(
            template(identity, seed=100 * seed + number),
            vector=beside(centre, like, rng),
            template_id=first_id + number,
        )
        for number in range(count)
    ]


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def beside(centre: np.ndarray, similarity: float, rng: np.random.Generator) -> np.ndarray:
    """A unit vector of this cosine to another."""
    away = rng.normal(size=len(centre))
    away = unit(away - (away @ centre) * centre)
    return unit(similarity * centre + np.sqrt(1 - similarity**2) * away)


def ids(findings: tuple[Finding, ...], kind: Kind) -> set[int]:
    return {number for each in findings if each.kind is kind for number in each.template_ids}


def test_a_gallery_that_is_well():
    templates = looks("anna", 1, 4, first_id=1) + looks("ben", 2, 4, first_id=5)
    assert examine(templates, BARS) == ()
    assert examine([], BARS) == ()


class TestTakenForAnother:
    @pytest.fixture
    def templates(self):
        """Template 3 is a picture of ben among anna's."""
        misfiled = replace(looks("anna", 2, 5)[4], template_id=3)
        return [*looks("anna", 1, 2), misfiled, *looks("ben", 2, 3, first_id=5)]

    def test_it_alone_is_to_be_disabled(self, templates):
        (finding,) = examine(templates, BARS)
        assert finding.kind is Kind.TAKEN_FOR_ANOTHER
        assert (finding.identity, finding.other) == ("anna", "ben")
        assert finding.template_ids == (3,)
        assert finding.disable

    def test_it_is_told_with_its_numbers(self, templates):
        (finding,) = examine(templates, BARS)
        vectors = {each.template_id: each.vector for each in templates}
        to_ben = max(float(vectors[3] @ vectors[number]) for number in (5, 6, 7))
        to_own = max(float(vectors[3] @ vectors[number]) for number in (1, 2))
        assert finding.other == "ben"
        assert f"similarity to them {to_ben:.2f}" in finding.reason
        assert f"nearest of its own {to_own:.2f}" in finding.reason
        assert "from 0.75 on" in finding.reason

    def test_without_it_all_is_well(self, templates):
        assert examine([each for each in templates if each.template_id != 3], BARS) == ()

    def test_below_the_threshold_it_is_only_told(self, templates):
        strict = replace(BARS, threshold=0.99, genuine=None)
        findings = examine(templates, strict)
        assert 3 in ids(findings, Kind.TAKEN_FOR_ANOTHER)
        assert not any(each.disable for each in findings)

    def test_the_only_template_of_somebody_is_never_disabled(self):
        """Her only picture shows ben in one of his two coats: which name is wrong is not known."""
        lone = replace(looks("anna", 2, 5)[4], template_id=9)
        ben = looks("ben", 2, 2, first_id=1) + looks("ben", 3, 3, first_id=5)
        findings = examine([lone, *ben], BARS)
        assert not any(each.disable for each in findings)
        assert 9 in ids(findings, Kind.TAKEN_FOR_ANOTHER)

    @pytest.mark.parametrize("seed", range(5))
    def test_many_mistakes_are_all_found_and_nothing_else(self, seed):
        rng = np.random.default_rng(seed)
        people = [looks(f"p{n}", 10 + n, 5, first_id=5 * n + 1) for n in range(20)]
        templates = [each for theirs in people for each in theirs]
        wrong = set(rng.choice(20, 6, replace=False))
        for n in wrong:  # the last picture of each is really of the one who is ten further
            other = looks("x", 10 + (n + 10) % 20, 9)[8]
            templates[5 * n + 4] = replace(templates[5 * n + 4], vector=other.vector)
        findings = examine(templates, BARS)
        assert ids(findings, Kind.TAKEN_FOR_ANOTHER) == {5 * n + 5 for n in wrong}
        assert {each.kind for each in findings} == {Kind.TAKEN_FOR_ANOTHER}


class TestTheBetterEvidenceStays:
    """Nobody loses a template to somebody of whom the gallery knows less."""

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("photos_of_emil", [2, 3, 6])
    @pytest.mark.parametrize("like", [0.85, 0.9])
    def test_against_one_photo_of_emil_under_another_name(self, seed, photos_of_emil, like):
        emil = looks("emil", seed, photos_of_emil, like=like)
        zed = renamed(beside_template(emil[0], 0.97, seed), "zed", template_id=50)
        findings = examine([*emil, *looks("anna", 90, 6, first_id=20), zed], BARS)
        assert not any(each.disable for each in findings)
        (finding,) = findings
        assert {finding.identity, finding.other} == {"emil", "zed"}

    def test_against_two_photos_of_one_of_emils_looks(self):
        """Half of emil is as much in doubt as all of zed."""
        emil = looks("emil", 1, 3) + looks("emil", 2, 2, first_id=4)
        zed = [
            renamed(beside_template(each, 0.97, 5), "zed", template_id=50 + number)
            for number, each in enumerate(emil[3:])
        ]
        findings = examine([*emil, *zed], replace(BARS, genuine=None))
        assert findings
        assert not any(each.disable for each in findings)

    def test_a_lone_look_of_somebody_is_not_given_up_for_a_single_photo_elsewhere(self):
        """Far from her own, it may be her other coat, and the other name the wrong one."""
        coat = replace(looks("anna", 2, 1)[0], template_id=9)
        zed = renamed(beside_template(coat, 0.97, 1), "zed", template_id=50)
        findings = examine([*looks("anna", 1, 5), coat, zed], BARS)
        assert {each.kind for each in findings} == {Kind.TAKEN_FOR_ANOTHER}
        assert not any(each.disable for each in findings)

    def test_a_misfiled_photo_is_disabled_from_whoever_has_others(self):
        emil = looks("emil", 1, 6)
        zed = renamed(beside_template(emil[0], 0.97, 1), "zed", template_id=50)
        findings = examine([*emil, *looks("zed", 2, 2, first_id=20), zed], BARS)
        (finding,) = findings
        assert (finding.identity, finding.template_ids) == ("zed", (50,))
        assert finding.disable
        assert "6 of theirs look like it, 0 others of its own" in finding.reason


class TestSamePhoto:
    def test_it_is_said_and_not_weighed(self):
        emil = looks("emil", 1, 6)
        zed = renamed(emil[2], "zed", template_id=50)
        (finding,) = examine([*emil, *looks("anna", 90, 6, first_id=20), zed], BARS)
        assert finding.kind is Kind.SAME_PHOTO
        assert (finding.identity, finding.other) == ("zed", "emil")
        assert (finding.template_ids, finding.other_template_ids) == ((50,), (3,))
        assert not finding.disable
        reason = "zed has no other template, 5 of 5 others of emil look like it"
        assert reason in finding.reason

    def test_not_even_when_it_is_far_from_all_others_of_one_name_or_poor(self):
        emil = [replace(each, quality=0.1) for each in looks("emil", 1, 3)]
        zed = renamed(emil[0], "zed", template_id=50)
        findings = examine([*emil[:1], *looks("zed", 2, 4, first_id=20), zed], BARS)
        assert [each.kind for each in findings] == [Kind.SAME_PHOTO]

    def test_two_people_of_one_scene_are_no_such_thing(self):
        anna, ben = looks("anna", 1, 2), looks("ben", 2, 2, first_id=9)
        ben[0] = replace(ben[0], source_sha256=anna[0].source_sha256)
        assert examine([*anna, *ben], BARS) == ()

    def test_under_three_names_it_is_said_twice(self):
        (photo,) = looks("a", 1, 1)
        names = [renamed(photo, name, template_id=n) for n, name in enumerate("abc", start=1)]
        findings = examine(names, BARS)
        assert [each.kind for each in findings] == [Kind.SAME_PHOTO] * 2


class TestTwoPeople:
    @pytest.mark.parametrize("count", [2, 3, 6])
    def test_under_one_name(self, count):
        anna = looks("anna", 1, count) + looks("anna", 2, count, first_id=51)
        (finding,) = examine([*anna, *looks("ben", 3, 6, first_id=90)], BARS)
        assert (finding.kind, finding.identity) == (Kind.TWO_PEOPLE, "anna")
        first, second = set(range(1, count + 1)), set(range(51, 51 + count))
        assert set(finding.template_ids) in (first, second)
        assert not finding.disable
        assert f"groups of {count} and {count}" in finding.reason
        assert "2% stay below 0.38" in finding.reason

    def test_the_smaller_group_is_named(self):
        anna = looks("anna", 1, 2) + looks("anna", 2, 4, first_id=51)
        (finding,) = examine(anna, BARS)
        assert finding.template_ids == (1, 2)

    def test_one_person_in_two_lights_is_none(self):
        rng = np.random.default_rng(0)
        face = looks("anna", 1, 1)[0].vector
        lights = [beside(face, 0.75, rng) for _ in range(2)]
        anna = [
            replace(
                template("anna", seed=n), vector=beside(lights[n % 2], 0.95, rng), template_id=n
            )
            for n in range(8)
        ]
        assert examine(anna, BARS) == ()


def renamed(like: Template, identity: str, *, template_id: int) -> Template:
    return replace(like, identity=identity, template_id=template_id)


def beside_template(like: Template, similarity: float, seed: int) -> Template:
    """Another photo that looks nearly the same."""
    vector = beside(like.vector, similarity, np.random.default_rng(seed))
    return replace(template("other photo", seed=seed), vector=vector)


class TestOnePerson:
    def test_enrolled_under_two_names(self):
        templates = [
            *looks("anna", 1, 2, first_id=1),
            *looks("ann", 1, 5, first_id=5),
            *looks("ben", 2, 3, first_id=20),
        ]
        (finding,) = examine(templates, BARS)
        assert finding.kind is Kind.ONE_PERSON
        assert (finding.identity, finding.other) == ("anna", "ann")  # the smaller into the larger
        assert not finding.disable

    def test_under_three_names(self):
        templates = [
            each for n in range(3) for each in looks(f"name {n}", 1, 3, first_id=3 * n + 1)
        ]
        findings = examine(templates, BARS)
        assert {each.kind for each in findings} == {Kind.ONE_PERSON}
        assert {name for each in findings for name in (each.identity, each.other)} == {
            "name 0",
            "name 1",
            "name 2",
        }

    def test_two_single_photos(self):
        templates = [*looks("anna", 1, 1, first_id=1), *looks("ann", 1, 2, first_id=5)[1:]]
        assert [each.kind for each in examine(templates, BARS)] == [Kind.ONE_PERSON]


class TestOutliers:
    def test_one_far_from_its_own(self):
        stray = replace(looks("anna", 7, 1)[0], template_id=9)
        (finding,) = examine([*looks("anna", 1, 3), stray], BARS)
        assert (finding.kind, finding.template_ids) == (Kind.OUTLIER, (9,))
        assert finding.disable
        assert "2% stay below 0.38" in finding.reason

    def test_of_two_that_are_unlike_nobody_knows_which_is_wrong(self):
        pair = [looks("anna", 1, 1)[0], replace(looks("anna", 7, 1)[0], template_id=9)]
        findings = examine(pair, BARS)
        assert ids(findings, Kind.OUTLIER) == {1, 9}
        assert not any(each.disable for each in findings)

    def test_without_genuine_quantiles_none_is_looked_for(self):
        stray = replace(looks("anna", 7, 1)[0], template_id=9)
        assert examine([*looks("anna", 1, 3), stray], replace(BARS, genuine=None)) == ()


class TestPoor:
    def test_worse_than_what_the_agent_embeds(self):
        good = looks("anna", 1, 2)
        blurred = replace(looks("anna", 1, 3)[2], template_id=9, quality=0.12)
        (finding,) = examine([*good, blurred], BARS)
        assert (finding.kind, finding.template_ids) == (Kind.POOR, (9,))
        assert finding.disable
        assert "quality 0.12; of what is worse than 0.20" in finding.reason

    def test_the_best_of_bad_ones_stays(self):
        bad = [
            replace(each, quality=quality)
            for each, quality in zip(looks("anna", 1, 3), (0.15, 0.05, 0.1), strict=True)
        ]
        findings = examine(bad, BARS)
        assert [each.template_ids[0] for each in findings if each.disable] == [2, 3]
        assert [each.template_ids[0] for each in findings if not each.disable] == [1]


class TestNeighbours:
    @pytest.fixture
    def crowd(self, monkeypatch):
        monkeypatch.setattr("edge_reid.matching.neighbours.CHUNK_BYTES", 4 * 40 * 7)  # 7 rows
        person = np.random.default_rng(0).integers(0, 9, 40)
        vectors = np.stack([each.vector for each in looks("x", 3, 40, like=0.3)])
        return Neighbours(vectors, person), vectors, person

    def test_it_finds_what_a_plain_loop_finds(self, crowd):
        near, vectors, person = crowd
        self.compare(near, vectors, person, range(40))

    def test_also_after_templates_were_dropped_and_people_joined(self, crowd):
        near, vectors, person = crowd
        near.join([[0, 3, 4], [1, 2]])
        person = np.where(np.isin(person, (3, 4)), 0, np.where(person == 2, 1, person))
        left = [row for row in range(40) if row not in (5, 6, 30)]
        for row in (5, 6, 30):
            near.drop(row)
        self.compare(near, vectors, person, left)

    def test_those_kept_apart_are_nobodys_neighbours_elsewhere(self, crowd):
        _, vectors, person = crowd
        apart = np.arange(40) % 9 == 0
        near = Neighbours(vectors, person, apart=apart)
        for _ in range(2):
            assert (near.other_row[apart] == NOBODY).all()
            assert not apart[near.other_row[~apart & near.in_use]].any()
            assert (near.own_row[apart & near.in_use] != NOBODY).any()
            near.drop(1)
            near.drop(int(near.other_row[2]))

    @staticmethod
    def compare(near, vectors, person, left):
        for row in left:
            for same, similarity, place in (
                (True, near.own, near.own_row),
                (False, near.other, near.other_row),
            ):
                others = [
                    o for o in left if o != row and (person[o] == person[row]) is np.bool_(same)
                ]
                best = max(others, key=lambda o: vectors[row] @ vectors[o], default=NOBODY)
                assert place[row] == best
                if best != NOBODY:
                    assert similarity[row] == pytest.approx(vectors[row] @ vectors[best], abs=1e-6)
