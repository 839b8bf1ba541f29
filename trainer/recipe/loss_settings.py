"""Which losses a run minimises, how much each counts, and their own numbers.

In a recipe a loss is a weight, `{"triplet": 1.0}`, or an object that says more,
`{"triplet": {"weight": 1.0, "margin": 0.5}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from trainer.recipe.settings import Positive, Settings, Share

_OF_TEACHER = frozenset({"regression", "relational"})


class Term(Settings):
    """A loss without numbers of its own."""

    weight: Positive = 1.0
    """What it is multiplied by in the sum."""


class Softmax(Term):
    """Cross-entropy of a linear classifier behind BNNeck."""

    smoothing: Share = 0.1
    """Part of the target that is spread over all identities."""


class AngularSoftmax(Term):
    """ArcFace and CosFace: cross-entropy of scaled cosines, the own identity's made harder."""

    scale: Positive = 30.0
    """What cosines are multiplied by before the softmax."""
    margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.35
    """ArcFace: radians added to the angle; CosFace: subtracted from the cosine."""


class Triplet(Term):
    """Batch-hard triplet loss with a fixed margin."""

    margin: Annotated[float, Field(gt=0, le=2)] = 0.3
    """Euclidean distance between unit embeddings, whose largest is 2."""


class Circle(Term):
    """Circle loss between pairs of a batch."""

    scale: Positive = 64.0
    """γ of the paper."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """m of the paper: positives are to pass 1 - m, negatives to stay under m."""


class Contrastive(Term):
    """Supervised contrastive loss."""

    temperature: Positive = 0.1


class Center(Term):
    """Distance to the learned centre of the own identity."""

    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How far a centre moves in one step towards what the batch shows of its identity."""


class Losses(Settings):
    """The losses of a run; what is not named does not take part."""

    softmax: Softmax | None = None
    arcface: AngularSoftmax | None = None
    cosface: AngularSoftmax | None = None
    triplet: Triplet | None = None
    soft_triplet: Term | None = None
    circle: Circle | None = None
    contrastive: Contrastive | None = None
    center: Center | None = None
    regression: Term | None = None
    """To the teacher's embedding, through a learned projection where the dimensions differ."""
    relational: Term | None = None
    """To the teacher's pairwise similarities; works for any dimension of the teacher."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        known = list(cls.model_fields)
        if unknown := [str(name) for name in given if name not in known]:
            raise ValueError(f"no loss {', '.join(unknown)}; there are {', '.join(known)}")
        if not any(value is not None for value in given.values()):
            raise ValueError(f"expected at least one of {', '.join(known)}")
        return {name: _in_full(value) for name, value in given.items()}

    @model_serializer(mode="wrap")
    def _write(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}

    def terms(self) -> dict[str, Term]:
        """The losses that take part, by name."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: term for name, term in named if term is not None}

    def needing_teacher(self) -> tuple[str, ...]:
        """Names of the losses that compare with a teacher."""
        return tuple(name for name in self.terms() if name in _OF_TEACHER)

    def needing_identities(self) -> tuple[str, ...]:
        """Names of the losses that compare people whose identities are known."""
        return tuple(name for name in self.terms() if name not in _OF_TEACHER)


def _in_full(value: Any) -> Any:
    """A loss given by its weight alone, as a number or text, written as an object."""
    return {"weight": value} if isinstance(value, int | float | str) else value
