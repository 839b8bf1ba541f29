"""Settings from a TOML file and from the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from edge_reid.core.bundled_models import ModelKind, model_mistake
from edge_reid.core.config.agent_settings import AgentSettings
from edge_reid.core.config.section import Section
from edge_reid.core.errors import ConfigError
from edge_reid.core.text_file import read_text_file
from edge_reid.core.validation_errors import describe_mistakes

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser under its older name
    import tomli as tomllib

S = TypeVar("S", bound=Section)

_TOML_REMEDIES = {
    "Invalid value": "; write text in quotes, and true and false in small letters",
    "Invalid hex value": "; in double quotes write a backslash twice",
    "Unescaped '\\'": "; in double quotes write a backslash twice",
    "Cannot declare": "; a heading stands once: give each table a name of its own",
    "Cannot overwrite": "; a key stands once in its table",
    "Cannot mutate": "; what is written as key = […] or {…} is whole: add to it there",
}
"""What to do, by what the parser complains of."""


def load_settings(path: Path | None, overrides: Mapping[str, Any]) -> AgentSettings:
    """Settings from a TOML file and overrides of the command line, nested like the file.

    Overrides win. Relative paths in the file are relative to the file; where a model is not
    beside it, its name is that of a shipped one.

    Raises:
        ConfigError: the settings have mistakes; it lists all of them.
    """
    where = str(path) if path else "command line"
    table = read_toml(path) if path else {}
    base = path.parent if path else Path()
    try:
        return AgentSettings.model_validate(
            merged(_anchor_paths(table, base), overrides), context={"folder": base}
        )
    except ValidationError as error:
        raise ConfigError(
            where, describe_mistakes(error, known=AgentSettings, of_toml=True)
        ) from error


def check_model_files(settings: AgentSettings, where: str) -> None:
    """Make sure that the models are there. Apart from `load_settings`, since a device needs its
    settings also to fetch the release that brings them.

    Args:
        settings: of an agent that is about to run.
        where: what to call their file.

    Raises:
        ConfigError: some are not there; it lists them by their keys.
    """
    models = settings.models
    files: dict[str, tuple[Path, ModelKind]] = {
        "models.detector": (models.detector, "detector"),
        "models.embedding": (models.embedding, "embedding"),
    }
    for name, camera in settings.cameras.items():
        if camera.detect.model not in (None, models.detector):
            files[f"cameras.{name}.detect.model"] = camera.detect.model, "detector"
    found = {key: model_mistake(file, kind) for key, (file, kind) in files.items()}
    if mistakes := [f"{key}: {mistake}" for key, mistake in found.items() if mistake]:
        raise ConfigError(where, mistakes)


def parse_section(section: type[S], values: Mapping[str, Any]) -> S:
    """Parse one section, for verbs that need no whole configuration.

    Raises:
        ConfigError: the section has mistakes; it lists all of them.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ConfigError("command line", describe_mistakes(error)) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(read_text_file(path))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = next((do for said, do in _TOML_REMEDIES.items() if said in str(error)), "")
        raise ConfigError(str(path), [f"is not TOML: {error}{remedy}"]) from error


_PATH_KEYS = {
    ("gallery",),
    ("source", "ca_file"),
    ("source", "login_file"),
    ("models", "detector"),
    ("models", "embedding"),
    ("models", "public_key"),
    ("mqtt", "password_file"),
    ("mqtt", "ca_file"),
    ("mqtt", "cert_file"),
    ("mqtt", "key_file"),
    ("outbox", "path"),
    ("gallery_sync", "public_key"),
    ("gallery_sync", "ca_file"),
    ("update", "public_key"),
    ("update", "ca_file"),
    ("strangers", "path"),
    ("commands", "snapshot_dir"),
    ("metrics", "token_file"),
    ("web", "token_file"),
    ("web", "cert_file"),
    ("web", "key_file"),
}


_CAMERA_PATH_KEYS = {("source", "ca_file"), ("source", "login_file"), ("detect", "model")}


def _anchor_paths(table: Mapping[str, Any], base: Path, at: tuple[str, ...] = ()) -> dict[str, Any]:
    def anchored(key: str, value: Any) -> Any:
        here = (*at, key)
        if isinstance(value, Mapping):
            return _anchor_paths(value, base, here)
        of_camera = here[2:] if here[0] == "cameras" else ()
        if ("source", "uri") in (here, of_camera) and isinstance(value, str):
            return _beside(base, value)
        is_path = here in _PATH_KEYS or of_camera in _CAMERA_PATH_KEYS
        return base / value if is_path and isinstance(value, str) and value else value

    return {key: anchored(key, value) for key, value in table.items()}


def _beside(base: Path, uri: str) -> str:
    """The path of a video file; a camera's index, a URL or a pipeline is returned unchanged."""
    is_path = uri and not uri.isdecimal() and "://" not in uri and " ! " not in uri
    return str(base / uri) if is_path else uri


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one. Where both have a key, tables are merged, and else `high` wins."""
    both = dict(low)
    for key, value in high.items():
        nested = both.get(key)
        is_nested = isinstance(value, Mapping) and isinstance(nested, Mapping)
        both[key] = merged(nested, value) if is_nested and isinstance(nested, Mapping) else value
    return both
