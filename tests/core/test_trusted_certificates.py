"""Which certificates a client trusts: a file that is none is named, with why and what to do."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from edge_reid.core.tls import verifying_context

CUT_OFF = "-----BEGIN CERTIFICATE-----\nMIIB"


def complaint(ca_file: Path) -> str:
    with pytest.raises(ValueError, match=str(ca_file)) as caught:
        verifying_context(ca_file, "give another")
    return str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    assert complaint(tmp_path / "ca") == f"{tmp_path}/ca: no such file; give another"


def test_a_folder(tmp_path: Path) -> None:
    assert complaint(tmp_path) == f"{tmp_path}: cannot be read: Is a directory; give another"


@pytest.mark.parametrize("text", ["", "hello", CUT_OFF])
def test_a_file_without_certificates(tmp_path: Path, text: str) -> None:
    (tmp_path / "ca").write_text(text)
    reason = "expected certificates in PEM, got something else"
    assert complaint(tmp_path / "ca") == f"{tmp_path}/ca: {reason}; give another"


def test_without_a_file_the_system_says_whom_to_trust() -> None:
    context = verifying_context(None, "")
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
