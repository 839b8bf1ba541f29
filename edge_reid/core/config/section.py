"""What every table of settings has in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from edge_reid.core.names import NAME_PATTERN
from edge_reid.core.validation_errors import as_sentences

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


Share = Annotated[float, Field(gt=0, lt=1)]


Seconds = Annotated[float, Field(gt=0, le=86_400 * 366)]


class Section(BaseModel):
    """A table of the file: frozen; an unknown key is a mistake."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # a traceback would show passwords
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_written_as_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """TOML has numbers and truth values of its own: `"no"` is a mistake and not false."""
        field = cls.model_fields[str(info.field_name)]
        kind = field.annotation
        of_union = get_args(kind)
        kinds = {kind, *of_union, *(get_args(part)[0] for part in of_union if get_args(part))}
        if bool in kinds and isinstance(value, str | int) and not isinstance(value, bool):
            raise ValueError("should be true or false, without quotes")
        if kinds & {int, float} and isinstance(value, str | bool):
            raise ValueError("should be a number, without quotes")
        if Path in kinds and value == "":  # which pathlib takes for the folder one is in
            remedy = "write one" if field.is_required() else "write one, or leave the key out"
            raise ValueError(f"expected a name or a path, got an empty text; {remedy}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Section:
        if mistakes := list(self._mistakes()):
            raise as_sentences(mistakes)
        return self

    def _mistakes(self) -> Iterator[str]:
        """What keys that are right by themselves make wrong together, each beginning with its keys
        as they are in this table. All are told at once.
        """
        yield from ()
