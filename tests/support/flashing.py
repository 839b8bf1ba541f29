"""`edge-reid flash`, with a site and a bundle that are there."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.outcome import Outcome
from support.sites import SITE, WIFI, write_site
from support.small_bundles import CONTENTS, KEY, manifest

from deploy.bundle.bundle_writer import Content, write_bundle
from edge_reid.cli.main import main
from edge_reid.signing.keys import SigningKey

PASSWORD = "correct horse battery"
PSK = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), WIFI.encode(), 4096, 32).hex()
AGENT_KEY = b"the private key of gate-1's agent\n"
CARRIED = CONTENTS | {"config/secrets/agent.key": Content(AGENT_KEY)}


def edge_reid(*words: object) -> Outcome:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        main([str(word) for word in words])
    return Outcome(int(left.value.code or 0), out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Job:
    """A site's file and a bundle for one of its devices."""

    config: Path
    bundle: Path
    device: str = "gate-1"

    def flash(self, *words: object) -> Outcome:
        """Run `edge-reid flash` for it."""
        return edge_reid(
            *("flash", "--config", self.config, "--device", self.device, "--bundle", self.bundle),
            *words,
        )


def job(
    folder: Path,
    target: str = "pi-trixie",
    *,
    text: str = SITE,
    contents: dict[str, Content] = CARRIED,
    key: SigningKey | None = KEY,
    **said: object,
) -> Job:
    """Box gate-1 of a site, of some kind, with a bundle for it."""
    folder.mkdir(exist_ok=True)
    (folder / "keys").mkdir(exist_ok=True)
    if not (folder / "keys/release-signing.pub").exists():
        KEY.write(folder / "key")
        (folder / "key/gallery-signing.pub").rename(folder / "keys/release-signing.pub")
    (folder / "wifi.password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    config = write_site(folder, text.replace('target = "pi-trixie"', f'target = "{target}"'))
    bundle = folder / "box.tar.zst"
    write_bundle(bundle, manifest(contents, target=target, **said), contents, key)
    return Job(config, bundle)
