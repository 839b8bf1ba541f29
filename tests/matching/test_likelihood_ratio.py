"""What a similarity says: one person, or two."""

import pytest

from edge_reid.core.bundled_models import EMBEDDINGS, shipped_model
from edge_reid.core.manifest import EmbeddingManifest, load_embedding_manifest
from edge_reid.matching.likelihood_ratio import LikelihoodRatio

IMPOSTORS = ((0.5, 0.1), (0.05, 0.4), (0.01, 0.5))
GENUINE = ((0.5, 0.7), (0.05, 0.4))


def manifest(**tables: object) -> EmbeddingManifest:
    words = {"name": "m", "sha256": "0" * 64, "licence": "none", "source": "a test"}
    sizes = {"input_height_px": 8, "input_width_px": 4, "dimension": 2}
    return EmbeddingManifest.model_validate(
        {**words, **sizes, "impostor_quantiles": IMPOSTORS, **tables}
    )


def test_what_is_as_far_from_one_person_as_from_two_says_nothing() -> None:
    ratio = LikelihoodRatio.of(manifest(genuine_quantiles=GENUINE))
    assert ratio is not None
    assert ratio.log_of(0.4) == pytest.approx(0)
    assert ratio.log_of(0.7) == pytest.approx(-ratio.log_of(0.1))
    assert ratio.log_of(0.7) == pytest.approx(0.5 * (0.6 / (0.3 / 1.645)) ** 2)


def test_impostors_are_those_of_people_with_most_templates() -> None:
    several = [
        {"templates": 2, "impostor_quantiles": [(0.5, 0.15), (0.05, 0.45)]},
        {"templates": 5, "impostor_quantiles": [(0.5, 0.2), (0.05, 0.5)]},
    ]
    ratio = LikelihoodRatio.of(
        manifest(genuine_quantiles=GENUINE, impostor_quantiles_by_templates=several)
    )
    assert ratio is not None
    assert ratio.impostor[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"genuine_quantiles": ((0.2, 0.5), (0.05, 0.4))},  # no median
        {"genuine_quantiles": ((0.5, 0.7), (0.1, 0.4))},  # no twentieth
        {"genuine_quantiles": ((0.5, 0.7), (0.05, 0.7))},  # no spread
        {"genuine_quantiles": GENUINE, "impostor_quantiles": ((0.1, 0.3),)},
    ],
)
def test_a_model_that_was_not_measured_has_none(tables: dict[str, object]) -> None:
    assert LikelihoodRatio.of(manifest(**tables)) is None


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_of_every_shipped_model_more_alike_never_says_less(name: str) -> None:
    ratio = LikelihoodRatio.of(load_embedding_manifest(shipped_model(name)))
    assert ratio is not None
    told = [ratio.log_of(step / 50) for step in range(-50, 51)]
    assert told == sorted(told)
    assert told[0] < -6 < 6 < told[-1]
