"""The paper's experiment: what a trial is made of, and what is said of many."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.trainer
pytest.importorskip("tensorflow", reason="needs TensorFlow")

import keras  # noqa: E402
from scipy.stats import beta  # noqa: E402
from support.small_runs import draw_people  # noqa: E402

from edge_reid.cli.main import main  # noqa: E402
from edge_reid.core.bundled_models import EMBEDDING, shipped_model  # noqa: E402
from edge_reid.core.errors import TrainingError, UsageError  # noqa: E402
from edge_reid.core.manifest import load_embedding_manifest  # noqa: E402
from edge_reid.vision.embed import Embedder  # noqa: E402
from trainer.data.datasets import PersonData, read_source  # noqa: E402
from trainer.experiment import experiment_words as verb  # noqa: E402
from trainer.experiment import softmax  # noqa: E402
from trainer.experiment.closed_set import Eyes, TrialPlan  # noqa: E402
from trainer.experiment.draws import cut_person, drawable  # noqa: E402
from trainer.experiment.images import Features, Images  # noqa: E402
from trainer.experiment.outcomes import TrialOutcome, summarise  # noqa: E402
from trainer.network.backbone import BackboneConfig, build_backbone  # noqa: E402

MODEL = shipped_model(EMBEDDING)


def seen(*cameras: int) -> PersonData:
    """One person's pictures, in file order, under these cameras."""
    paths = tuple(Path(f"{number}.jpg") for number in range(len(cameras)))
    return PersonData(paths, np.zeros(len(cameras), np.int64), np.array(cameras), ("anna",))


@pytest.mark.parametrize("seed", range(5))
def test_by_camera_no_camera_is_on_both_sides(seed: int) -> None:
    data = seen(1, 1, 1, 2, 2, 2, 2, 3, 4)
    person = cut_person(data, 0, "camera", 60, np.random.default_rng(seed))
    trained, tested = ({data.cameras[p] for p, _ in part} for part in (person.train, person.test))
    assert trained.isdisjoint(tested)
    assert trained | tested == {1, 2, 3, 4}
    assert all(copy == 0 for _, copy in person.test)
    assert len(person.train) + len(person.test) == 60
    assert len(set(person.train)) == len(person.train)


def test_without_cameras_the_last_pictures_are_tested_on() -> None:
    person = cut_person(seen(*[-1] * 10), 0, "sequence", 40, np.random.default_rng(0))
    assert sorted(person.test) == [(8, 0), (9, 0)]
    assert {picture for picture, _ in person.train} == set(range(8))


def test_the_random_cut_mixes_copies_of_one_picture() -> None:
    person = cut_person(seen(1, 1, 2, 2), 0, "random", 100, np.random.default_rng(0))
    assert (len(person.train), len(person.test)) == (80, 20)
    assert set(person.train).isdisjoint(person.test)
    assert {p for p, _ in person.test} <= {p for p, _ in person.train}


def test_more_pictures_than_images_need_no_copies() -> None:
    person = cut_person(seen(*[1] * 30, *[2] * 30), 0, "random", 20, np.random.default_rng(0))
    assert all(copy == 0 for _, copy in (*person.train, *person.test))
    assert len(person.train) + len(person.test) == 20


def test_too_few_people_are_counted(tmp_path: Path) -> None:
    data = read_source(draw_people(tmp_path / "people", identities=4, images=3))
    with pytest.raises(TrainingError, match="at least 2 people with 4 pictures .* got 0 of 4"):
        drawable(data, 2)


def outcome(correct: int, tested: int) -> TrialOutcome:
    return TrialOutcome(0, ("a", "b"), "camera", "softmax", correct, tested, time_s=2.0)


def test_summary_of_two_trials() -> None:
    (summary,) = summarise([outcome(10, 10), outcome(15, 20)])
    assert summary.mean == pytest.approx((1.0 + 0.75) / 2)
    assert summary.worst == 0.75
    assert summary.reaching_paper == 0.5
    # Clopper and Pearson by their definition, 25 right of 30.
    exact = beta.ppf(0.025, 25, 6), beta.ppf(0.975, 26, 5)
    assert summary.interval == pytest.approx(exact)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> PersonData:
    return read_source(draw_people(tmp_path_factory.mktemp("closed") / "people", 6, 8))


@pytest.fixture(scope="module")
def eyes(people: PersonData) -> Eyes:
    """The shipped model beside a thin base of random weights, which also sees colours."""
    keras.utils.set_random_seed(0)
    network = build_backbone(BackboneConfig(alpha=0.35, last_stride=2), 64, 32)
    pooled = keras.layers.GlobalAveragePooling2D()(network.output)
    base = keras.Model(network.input, keras.layers.UnitNormalization()(pooled))
    images = Images(people, 64, 32, seed=1)
    embedder = Embedder(MODEL)
    return Eyes(
        images,
        base,
        Features(lambda crops: np.asarray(base.predict_on_batch(crops)), images),
        Features(lambda crops: embedder.embed(list(crops)), images),
    )


def test_from_pictures_to_what_is_kept(
    people: PersonData, eyes: Eyes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb, with the thin base for ImageNet's, which is 14 MB."""
    monkeypatch.setattr(verb, "open_eyes", lambda *_: eyes)
    folder = people.paths[0].parent
    plan = TrialPlan(people=2, images=40, trials=1)
    verb.run_closed_set(folder, plan, model=None, imagenet=None, out=tmp_path, as_json=False)
    kept = json.loads((tmp_path / "closed_set.json").read_text())
    assert kept["plan"] == {"people": 2, "images": 40, "trials": 1, "seed": 1, "refine": False}
    outcomes = {(each["cut"], each["method"]): each for each in kept["outcomes"]}
    assert list(outcomes) == [
        (cut, method) for cut in ("camera", "random") for method in ("softmax", "nearest template")
    ]
    # One of two cameras is tested on: 4 pictures of each person, as taken; else a fifth of all.
    assert [each["tested"] for each in outcomes.values()] == [8, 8, 8, 8]
    # Coats of other colours: whoever sees colours names them all, cameras apart or not.
    assert outcomes["camera", "nearest template"]["correct"] == 8
    assert outcomes["random", "nearest template"]["correct"] == 8
    assert (tmp_path / "closed_set.png").read_bytes().startswith(b"\x89PNG")


def test_refining_trains_a_copy_of_the_base(eyes: Eyes) -> None:
    pixels = eyes.images.pixels([(picture, copy) for picture in (0, 8) for copy in range(4)])
    whose = np.repeat([0, 1], 4)
    before = [weight.copy() for weight in eyes.base.get_weights()]
    head = keras.Sequential([keras.Input((1280,)), keras.layers.Dense(2, activation="softmax")])
    network = softmax.refined(eyes.base, head, pixels, whose)
    assert softmax.classify(network, pixels).shape == (8,)
    after = eyes.base.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    trained = {v.path.split("/")[0] for v in network.trainable_variables}
    assert {"block15_expand_conv", "last_conv"} <= trained
    assert not {"stem_conv", "block14_expand_conv", "last_bn"} & trained


def test_a_copy_is_the_same_in_every_trial(people: PersonData) -> None:
    first, second = (Images(people, 64, 32, seed=1).pixels([(0, 0), (0, 1)]) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_the_reader_is_told_whether_the_model_knows_these_people(
    people: PersonData, tmp_path: Path
) -> None:
    manifest = load_embedding_manifest(MODEL)
    own = people.paths[0].parent
    assert "make sure that these people are not among them" in verb.training_remark(
        manifest, people, own
    )
    trained_on = manifest.model_copy(update={"training_data": (f"{own.name}: free",)})
    assert verb.training_remark(trained_on, people, own).startswith("warning: ")
    held_out = verb.training_remark(trained_on, people, tmp_path / "recipe.json")
    assert "only if it was trained by this recipe" in held_out


def test_mistakes_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="at least 2 people"):
        TrialPlan(people=1)
    folder = draw_people(tmp_path / "people", 3, 4)
    words = ["experiment", "closed-set", str(folder), "--imagenet", str(tmp_path / "no.pth")]
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--seed", "-1"])
    assert "--seed: expected a number" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="1"):
        main(words)
    said = f"weights {tmp_path / 'no.pth'}: cannot be read: No such file"
    assert said in capsys.readouterr().err
