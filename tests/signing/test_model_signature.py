"""A model that a pinned key vouches for, one that nobody does, and one that was changed."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from edge_reid.agent.shared_models import check_signatures
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, shipped_model
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.core.errors import ModelError
from edge_reid.diagnostics.doctor import CheckedInstallation, Verdict, examine
from edge_reid.signing.keys import SigningKey
from edge_reid.signing.model_signature import sign_model

KEY = SigningKey.generate()


@pytest.fixture
def models(tmp_path: Path) -> ModelSettings:
    """As a signed bundle brings them."""
    KEY.write(tmp_path, "release")
    found = {}
    for kind, name in (("detector", DETECTOR), ("embedding", EMBEDDING)):
        for suffix in (".tflite", ".json"):
            shutil.copy(shipped_model(name).with_suffix(suffix), tmp_path)
        found[kind] = tmp_path / name
        body = found[kind].with_suffix(".json").read_bytes()
        found[kind].with_suffix(".sig").write_bytes(sign_model(body, KEY))
    return ModelSettings(**found, public_key=tmp_path / "release-signing.pub")


def finding(models: ModelSettings, name: str = "embedding model"):
    return next(it for it in examine(CheckedInstallation(models)) if it.name == name)


def test_who_signed_a_model_is_said(models: ModelSettings):
    check_signatures(models, [models.detector, models.embedding])
    for name in ("detector", "embedding model"):
        found = finding(models, name)
        assert found.verdict is Verdict.OK
        assert f"signed by {KEY.public.key_id}" in found.detail


def test_that_nobody_signed_a_model_is_said(
    models: ModelSettings, caplog: pytest.LogCaptureFixture
):
    models.embedding.with_suffix(".sig").unlink()
    found = finding(models)
    assert found.verdict is Verdict.WARNING
    assert "signed by nobody" in found.detail
    with caplog.at_level(logging.WARNING):
        check_signatures(models, [models.detector, models.embedding])
    assert f"model {models.embedding}: nobody signed its manifest" in caplog.text


def test_without_a_key_it_is_said_that_no_signature_was_looked_at(models: ModelSettings):
    found = finding(models.model_copy(update={"public_key": None}))
    assert found.verdict is Verdict.OK
    assert "signature not looked at" in found.detail


def test_a_model_whose_manifest_was_changed_is_refused(models: ModelSettings):
    manifest = models.embedding.with_suffix(".json")
    manifest.write_bytes(manifest.read_bytes().replace(b"0.", b"1.", 1))
    with pytest.raises(ModelError, match="expected the signature of .* got one of another key"):
        check_signatures(models, [models.detector, models.embedding])
    assert finding(models).verdict is Verdict.FAILURE


def test_the_signature_of_another_key_is_refused(models: ModelSettings):
    body = models.detector.with_suffix(".json").read_bytes()
    other = sign_model(body, SigningKey.generate())
    for signature in (other, b"", b"no signature\n"):
        models.detector.with_suffix(".sig").write_bytes(signature)
        with pytest.raises(ModelError, match="expected the signature of"):
            check_signatures(models, [models.detector, models.embedding])


def test_what_signs_bundles_says_nothing_about_models(models: ModelSettings):
    """The same key, over the very bytes, for another purpose."""
    body = models.detector.with_suffix(".json").read_bytes()
    models.detector.with_suffix(".sig").write_bytes(KEY.sign(body).hex().encode())
    with pytest.raises(ModelError, match="expected the signature of"):
        check_signatures(models, [models.detector, models.embedding])
