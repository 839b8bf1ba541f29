"""A new release without a shipped model that somebody on the device still names, or has a gallery
of: the real doctor of the new release says so, and nothing is switched. The model of before is not
left out where the site names none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import installed_wheels, real_bundles
from support.device_root import DeviceRoot
from support.gallery_publisher import Workshop, take_in
from support.installed_wheels import Installation

from edge_reid.core.bundled_models import (
    DEFAULT_EMBEDDINGS,
    EMBEDDING,
    MOBILENET_EMBEDDING,
    OPEN_EMBEDDING,
    shipped_model,
)
from edge_reid.core.manifest import load_embedding_manifest
from edge_reid.gallery.replica import Replica
from edge_reid.gallery.store import GalleryStore

OPEN, LEFT_OUT = Path(OPEN_EMBEDDING).stem, Path(EMBEDDING).stem
PROGRAM = """
import sys
sys.path[:0] = {path!r}
from edge_reid.cli.main import main
"""
AGENT = 'site = "lab"\ncamera = "gate"\n[source]\nuri = "rtsp://127.0.0.1:9/gate"\n'


@pytest.fixture(scope="module")
def lean(whole_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Of the bundle of a site that names the open model."""
    folder = tmp_path_factory.mktemp("lean")
    wheel = installed_wheels.for_site(whole_wheel, [OPEN_EMBEDDING], folder)
    return Installation(wheel, folder / "installed")


def agent(device: DeviceRoot, models: str, gallery_of: str = OPEN_EMBEDDING) -> str:
    """A configuration."""
    return f"{enrolled(device, gallery_of)}{AGENT}[models]\n{models}\n"


def enrolled(device: DeviceRoot, model: str) -> str:
    """The line that names a gallery of that model, in which is nobody yet."""
    people, its = device.root / "people.db", load_embedding_manifest(shipped_model(model))
    people.unlink(missing_ok=True)
    GalleryStore.create(people, its.model_id, its.dimension).close()
    return f'gallery = "{people}"\n'


@pytest.fixture(scope="module")
def silent(whole_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Of the bundle of a site that names no model."""
    folder = tmp_path_factory.mktemp("silent")
    wheel = installed_wheels.for_site(whole_wheel, DEFAULT_EMBEDDINGS, folder)
    return Installation(wheel, folder / "installed")


@pytest.fixture
def updated(device: DeviceRoot, lean: Installation, tmp_path: Path) -> tuple[DeviceRoot, Path]:
    """A device that runs 1.0, and the bundle of 1.1, whose site names the open model."""
    config = agent(device, f'embedding = "{OPEN}"')
    return device, update(device, lean, config, tmp_path)


def update(device: DeviceRoot, installed: Installation, config: str, tmp_path: Path) -> Path:
    """The bundle of 1.1 for a device that runs 1.0."""
    assert device.install(device.bundle("1.0")).code == 0
    program = PROGRAM.format(path=[str(installed.folder), *sys.path])
    wheel = real_bundles.small_wheel(tmp_path / "wheels", "1.1", program)
    return real_bundles.unpack_into(
        tmp_path / "1.1",
        "1.1",
        [device.pip, wheel],
        configs={"gate": config},
        secrets=device.secrets("1.1"),
    )


def refused(device: DeviceRoot, bundle: Path) -> str:
    """What the installer says, having left all as it was."""
    before = device.fingerprint()
    outcome = device.install(bundle)
    assert (outcome.code, device.version, device.fingerprint()) == (1, "1.0", before)
    return outcome.complaint


def test_what_the_site_names_is_there(updated: tuple[DeviceRoot, Path], tmp_path: Path) -> None:
    device, bundle = updated
    outcome = device.install(bundle)
    assert (outcome.code, (device.home / "current").readlink().name) == (0, "1.1"), outcome.said
    back = device.install(tmp_path / "bundles/1.0")
    assert (back.code, device.version, device.releases) == (0, "1.0", ["1.0", "1.1"]), back.said


def test_a_name_in_a_configuration_of_the_device(updated: tuple[DeviceRoot, Path]) -> None:
    """It was changed by hand, so no bundle writes over it."""
    device, bundle = updated
    device.config.write_text(agent(device, f'embedding = "{LEFT_OUT}"', EMBEDDING))
    said = refused(device, bundle)
    assert f"models.embedding: expected {LEFT_OUT} in this installation, got only {OPEN}" in said
    assert f"name {LEFT_OUT} in [agent.models] of site.toml and make the bundle anew" in said


def test_every_mistake_in_it_is_said(updated: tuple[DeviceRoot, Path]) -> None:
    """It was counted."""
    device, bundle = updated
    device.config.write_text(agent(device, f'embedding = "{LEFT_OUT}"\nthreads = 0'))
    said = refused(device, bundle)
    assert f"2 mistakes; models.embedding: expected {LEFT_OUT} in this installation" in said
    assert "models.threads: " in said


def test_a_path_in_a_configuration_of_the_device(updated: tuple[DeviceRoot, Path]) -> None:
    device, bundle = updated
    path = device.home / f"current/models/{EMBEDDING}"
    device.config.write_text(agent(device, f'embedding = "{path}"'))
    assert f"{EMBEDDING}, which is not there" in refused(device, bundle)


@pytest.mark.parametrize("models", ["", f'embedding = "{OPEN}"'])
def test_a_gallery_of_the_model(updated: tuple[DeviceRoot, Path], models: str) -> None:
    """Also where nothing is named: then the model of the site is what is meant."""
    device, bundle = updated
    device.config.write_text(agent(device, models, EMBEDDING))
    said = refused(device, bundle)
    assert f"people.db: expected one of model {OPEN}" in said
    left_out = load_embedding_manifest(shipped_model(EMBEDDING)).model_id
    assert f"got one of {left_out}" in said


def following(device: DeviceRoot, model: str) -> str:
    """A configuration that names no model, of a device that has synced a gallery of that one."""
    (device.root / "desk").mkdir()
    its = load_embedding_manifest(shipped_model(model))
    with Workshop(device.root / "desk", model_id=its.model_id) as workshop:
        workshop.publish()
        with Replica.open(device.root / "replica.db") as replica:
            take_in(workshop, replica, model_id=its.model_id)
    sync = f'source = "{workshop.out}"\npublic_key = "{workshop.public_key_path}"\n'
    return f'gallery = "{device.root}/replica.db"\n{AGENT}[gallery_sync]\n{sync}'


def test_an_update_with_another_default_stays_with_the_synced_gallerys_model(
    device: DeviceRoot, silent: Installation, tmp_path: Path
) -> None:
    config = following(device, MOBILENET_EMBEDDING)
    outcome = device.install(update(device, silent, config, tmp_path))
    assert (outcome.code, (device.home / "current").readlink().name) == (0, "1.1"), outcome.said
    assert "nobody is recognised" not in outcome.said
    words = ("doctor", "--offline", "--config", device.config)
    said = " ".join(silent.edge_reid(*words, cwd=tmp_path).out.split())
    assert f"same model, taken as models.embedding names none; the default, {LEFT_OUT}," in said


def test_an_update_without_the_model_of_the_synced_gallery_says_what_is_to_be_done(
    device: DeviceRoot, lean: Installation, tmp_path: Path
) -> None:
    config = following(device, MOBILENET_EMBEDDING)
    outcome = device.install(update(device, lean, config, tmp_path))
    assert outcome.code == 0, outcome.said
    assert f": nobody is recognised until one of {OPEN} (" in outcome.said


def test_an_update_with_another_default_keeps_a_gallery_of_the_devices_own(
    device: DeviceRoot, silent: Installation, tmp_path: Path
) -> None:
    config = f"{enrolled(device, MOBILENET_EMBEDDING)}{AGENT}"
    outcome = device.install(update(device, silent, config, tmp_path))
    assert (outcome.code, (device.home / "current").readlink().name) == (0, "1.1"), outcome.said
