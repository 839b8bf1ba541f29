"""What a bundle is made of, as CycloneDX 1.6 in JSON: every wheel and every model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from deploy.bundle.wheel import Wheel
from deploy.site.targets import Target
from edge_reid.core.manifest import DetectorManifest, EmbeddingManifest, file_sha256

Model = DetectorManifest | EmbeddingManifest


def sbom(
    name: str, version: str, target: Target, wheels: Iterable[Wheel], models: Iterable[Model]
) -> bytes:
    """The file, without a date or a serial number: the same content gives the same bytes.

    A model that lies in the bundle and in a wheel of it as well is listed once.
    """
    parts = [_wheel(wheel) for wheel in sorted(wheels, key=lambda wheel: wheel.name)]
    different = {model.sha256: model for model in models}.values()
    parts += [_model(model) for model in sorted(different, key=lambda model: model.name)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "bundle",
                "name": name,
                "version": version,
                "properties": [
                    {"name": "edge-reid:target", "value": target.name},
                    {"name": "edge-reid:python", "value": target.python},
                    {"name": "edge-reid:machine", "value": target.machine},
                ],
            }
        },
        "components": parts,
        "dependencies": [{"ref": "bundle", "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _wheel(wheel: Wheel) -> dict[str, Any]:
    purl = f"pkg:pypi/{wheel.name}@{quote(str(wheel.version))}"
    return {
        "type": "library",
        "bom-ref": f"{purl}?file_name={quote(wheel.path.name)}",
        "name": wheel.name,
        "version": str(wheel.version),
        "purl": f"{purl}?file_name={quote(wheel.path.name)}",
        "hashes": [_sha256(file_sha256(wheel.path))],
        **({"licenses": [_licence(wheel)]} if wheel.licence else {}),
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model.sha256}",
        "name": model.name,
        "version": model.model_id,
        "description": model.source,
        "hashes": [_sha256(model.sha256)],
        "licenses": [{"license": {"name": model.licence}}],
    }


def _licence(wheel: Wheel) -> dict[str, Any]:
    if wheel.licence_is_expression:
        return {"expression": wheel.licence}
    return {"license": {"name": wheel.licence}}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}
