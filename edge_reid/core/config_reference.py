"""Reference pages in Markdown, made from settings classes: a table a section, a row a key.

`make reference` writes CONFIG.md with `python -m edge_reid.core.config_reference`. A key's meaning
is the string beneath its field; its unit is the suffix of its name.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge_reid.core.config.agent_settings import AgentSettings

_UNITS = {"per_s": "1/s", "_hz": "1/s", "_s": "s", "_px": "px", "_bytes": "bytes"}
_TITLES = ("key", "type", "unit", "range", "default", "meaning")
_INTRO = """\
# Configuration of an agent

The TOML file of `edge-reid run --config agent.toml`; an example is
[deploy/agent.toml](../../deploy/agent.toml). Unknown keys are errors, and all mistakes are reported
at once. Relative paths are relative to the file. Options of `edge-reid run` win over the file.

Written from `config/` by `make reference`: edit the strings there, not this page.
"""


def config_page() -> str:
    """The page of `agent.toml`."""
    return _INTRO + settings_tables(AgentSettings)


def settings_tables(
    model: type[BaseModel],
    section: str = "",
    remark: str = "",
    tables: dict[type[BaseModel], str] | None = None,
) -> str:
    """A heading, what the section is for, and a table of its keys; then the sections in it.

    Args:
        model: the class that a table of the file is parsed into.
        section: its name in the file, such as `source`; empty for the keys before all sections.
        remark: what the field of this section says beside the class.
        tables: the section of each class whose keys stand in a table already.
    """
    tables = {} if tables is None else tables
    meanings = _field_docs(model)
    before = next((kind for kind in model.__mro__ if kind in tables), None)
    known = before.model_fields if before else {}
    own = {name: field for name, field in model.model_fields.items() if name not in known}
    nested = {name: _section_of(field) for name, field in own.items()}
    keys = [name for name, inner in nested.items() if inner is None]
    if before:
        remark = f"Keys as in `[{tables[before]}]`{', and:' if keys else '.'}"
    tables.setdefault(model, section)
    title = f"\n## `[{section}]`\n\n" if section else "\n## Keys before the first section\n\n"
    purpose = "" if before is model else inspect.cleandoc(model.__doc__ or "")
    lead = "\n\n".join(filter(None, (purpose, remark)))
    text = f"{title}{lead}\n" + (f"\n{_table(model, keys, meanings)}" if keys else "")
    for name, inner in nested.items():
        if inner is not None:
            path = _path(section, name, own[name])
            text += settings_tables(inner, path, meanings.get(name, ""), tables)
    return text


def undocumented_keys(model: type[BaseModel], section: str = "") -> Iterator[str]:
    """Keys without a meaning beneath their field. A section has its class's docstring."""
    meanings = _field_docs(model)
    for name, field in model.model_fields.items():
        inner = _section_of(field)
        if inner is not None:
            yield from undocumented_keys(inner, _path(section, name, field))
        elif name not in meanings:
            yield f"{section}.{name}".lstrip(".")


def _table(model: type[BaseModel], keys: list[str], meanings: Mapping[str, str]) -> str:
    schemas = model.model_json_schema()["properties"]
    rows = [_TITLES, ("---",) * len(_TITLES)]
    rows += [
        (
            f"`{name}`",
            _kind(schemas[name]),
            _unit(name),
            _range(schemas[name]),
            _default(name, model.model_fields[name]),
            meanings.get(name, ""),
        )
        for name in keys
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The strings beneath the fields of a class and of its bases, each on one line."""
    bases = [base for base in model.__bases__ if issubclass(base, BaseModel)]
    found = {name: text for base in bases for name, text in _field_docs(base).items()}
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for mypy
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[field.target.id] = " ".join(words.split())
    return found


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The class of a nested table, or of each table in a dict of them; None: a plain key."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _path(section: str, name: str, field: FieldInfo) -> str:
    """`source`; `devices.NAME` where each table in a dict has a name of its own."""
    is_many = getattr(field.annotation, "__origin__", None) is dict
    return f"{section}.{name}".lstrip(".") + (".NAME" if is_many else "")


def _variants(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a key may be, apart from being absent."""
    return [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]


def _kind(schema: Mapping[str, Any]) -> str:
    names = {
        "number": "float",
        "integer": "int",
        "boolean": "bool",
        "array": "list",
        "object": "table",
    }
    (kind,) = _variants(schema)
    if kind.get("format") in {"path", "date-time"}:
        return str(kind["format"])
    word = names.get(kind["type"], "string")
    if word != "list":
        return word
    (inner,) = {_kind(item) for item in kind.get("prefixItems", [kind.get("items", {})])}
    return f"list of {inner.replace('list', 'lists', 1) if 'list' in inner else f'{inner}s'}"


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _range(schema: Mapping[str, Any]) -> str:
    (kind,) = _variants(schema)
    inner = kind.get("items", kind)
    if "enum" in inner or "const" in inner:
        return ", ".join(f"`{_toml(word)}`" for word in inner.get("enum", [inner.get("const")]))
    if "pattern" in inner:
        return f"`{inner['pattern']}`"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    return ", ".join(f"{sign} {inner[key]:.10g}" for key, sign in signs.items() if key in inner)


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None or field.default in (None, {}):
        return "–"
    value = field.default
    if name.endswith("_bytes"):
        return f"`{value}` ({value >> 20} MiB)"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    """A value as a TOML file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"'


if __name__ == "__main__":
    sys.stdout.write(config_page())
