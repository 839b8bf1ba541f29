"""`edge-reid bundle`: what is in one, for one device or for all, and what it is not made from."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support import real_bundles
from support import small_bundles as bundles
from support import small_wheels as wheels
from support.sites import SITE, WIFI, equip, write_site

from deploy.bundle.bundle_words import make
from deploy.bundle.own_wheel import own_wheel
from edge_reid.core.bundled_models import (
    DEFAULT_EMBEDDINGS,
    DETECTOR,
    DETECTORS,
    EMBEDDING,
    MOBILENET_EMBEDDING,
    OPEN_EMBEDDING,
    SMALLER_EMBEDDING,
    shipped_model,
)
from edge_reid.core.config.settings_file import read_toml
from edge_reid.core.manifest import file_sha256, load_embedding_manifest
from edge_reid.gallery.store import GalleryStore
from edge_reid.signing.keys import SigningKey, read_public_key
from edge_reid.signing.model_signature import is_signed

OPEN = OPEN_EMBEDDING.removesuffix(".tflite")
SMALLER = SMALLER_EMBEDDING.removesuffix(".tflite")
NEAR, FAR = "person_detection_0201_384x384", "person_detection_0201_640x640"
MODEL_ID = load_embedding_manifest(shipped_model(EMBEDDING)).model_id


class Workstation:
    """A site's files, a folder of wheels, and the verb.

    Args:
        folder: for all of it.
        edge_reid: runs the command line.
        chosen: the lock file and the kept wheels of another, so that pip need not run again.
    """

    def __init__(
        self, folder: Path, edge_reid: Callable[..., object], chosen: Workstation | None = None
    ) -> None:
        self.folder = folder
        self.wheel = wheels.own(folder)
        self.key = folder / "keys" / "release-signing.key"
        self.public_key = folder / "keys" / "release-signing.pub"
        self.lock = folder / "box.tar.zst.lock"
        self.cache = folder / "cache"
        self._edge_reid = edge_reid
        if chosen:
            self.cache = chosen.cache
            shutil.copy(chosen.lock, self.lock)

    def bundle(self, *words: object, out: str = "box.tar.zst"):
        """How `edge-reid bundle …` ends."""
        config = self.folder / "site.toml"
        files = ("--wheel", self.wheel, "--cache", self.cache)
        lock = () if "--lock" in words else ("--lock", self.lock)
        out_file = self.folder / out
        return self._edge_reid(
            "bundle", "--config", config, "--out", out_file, *files, *lock, *words
        )

    def unpacked(self, out: str = "box.tar.zst") -> Path:
        folder = self.folder / f"{out}.unpacked"
        if not folder.exists():
            real_bundles.unpack(self.folder / out, folder)
        return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workstation]:
    """Where a signed bundle for gate-1 was made, as box.tar.zst; to be looked at."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        wheels.take_wheels_from(wheels.make_index(folder / "index"), patch)
        equip(folder)
        station = Workstation(folder, lambda *_: None)
        make(
            folder / "site.toml",
            folder / "box.tar.zst",
            lambda *_: None,
            target=None,
            device="gate-1",
            runtime="litert",
            key=station.key,
            wheel=station.wheel,
            lock=station.lock,
            cache=station.cache,
            version=None,
        )
        yield station


@pytest.fixture
def workstation(
    tmp_path: Path, made: Workstation, monkeypatch: pytest.MonkeyPatch, edge_reid
) -> Workstation:
    """One of its own, for bundles of gate-1 without pip; others take wheels from a folder."""
    wheels.take_wheels_from(made.folder / "index", monkeypatch)
    equip(tmp_path)
    return Workstation(tmp_path, edge_reid, made)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge_reid) -> Workstation:
    """One that has chosen no wheels yet."""
    wheels.take_wheels_from(wheels.make_index(tmp_path / "index"), monkeypatch)
    equip(tmp_path)
    return Workstation(tmp_path, edge_reid)


def names(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


def test_a_bundle_for_one_device_has_all_it_needs(made: Workstation):
    folder = made.unpacked()
    there = names(folder)
    assert {it for it in there if it.startswith("wheels/")} == {
        "wheels/edge_reid-0.1.0-py3-none-any.whl",
        "wheels/ai_edge_litert-2.3-cp313-cp313-manylinux_2_28_aarch64.whl",
        "wheels/numbers_to_go-2.4-cp313-cp313-manylinux_2_28_aarch64.whl",
        "wheels/leaf-1.0-py3-none-any.whl",
        "wheels/pip-26.0-py3-none-any.whl",
    }
    assert {it for it in there if it.startswith("config/")} == {
        "config/gate.toml",
        *(f"config/secrets/{it}" for it in ("ca.crt", "agent.crt", "agent.key")),
        *("config/secrets/gallery-signing.pub", "config/secrets/release-signing.pub"),
    }
    assert f"models/{DETECTOR}" in there
    assert {"manifest.json", "manifest.sig", "sbom.cdx.json"} <= there
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["version"], manifest["box"]) == ("0.1.0", "gate-1")
    assert (manifest["site"], manifest["model_id"]) == ("lab", MODEL_ID)
    public = read_public_key(made.public_key)
    signature = bytes.fromhex((folder / "manifest.sig").read_text())
    assert public.signed(signature, (folder / "manifest.json").read_bytes())


def test_the_manifests_of_models_are_signed_with_the_bundle(made: Workstation):
    folder, key = made.unpacked(), read_public_key(made.public_key)
    for model in (folder / "models").glob("*.tflite"):
        assert is_signed(model, key)
    config = read_toml(folder / "config/gate.toml")
    assert config["models"] == {
        "detector": f"/opt/edge-reid/current/models/{DETECTOR}",
        "public_key": "/etc/edge-reid/secrets/release-signing.pub",
    }


def test_a_bundle_for_all_devices_holds_nobodys_secrets(workstation: Workstation):
    outcome = workstation.bundle("--target", "pi-trixie")
    assert "release 0.1.0 for all devices of lab, pi-trixie (Python 3.13, aarch64)" in outcome.out
    assert "it is not signed" in outcome.err
    folder = workstation.unpacked()
    configs = {it for it in names(folder) if it.startswith("config/")}
    assert configs == {"config/gate-1/gate.toml", "config/gate-1/agent.crt"}
    whole = b"".join(it.read_bytes() for it in folder.rglob("*") if it.is_file())
    assert b"PRIVATE KEY" not in whole
    assert b"correct horse" not in whole
    assert WIFI.encode() not in whole
    assert stat.S_IMODE((workstation.folder / "box.tar.zst").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:secret@gate/stream",
        "rtsp://me@gate/stream",
        "http://gate/video?channel=1&password=secret",
        "rtsp://gate/user=me&password=secret&channel=1",
        "rtsp://me:se/cret@gate/stream",
    ],
)
def test_a_bundle_for_all_devices_takes_no_login_of_a_camera(
    workstation: Workstation, address: str
):
    write_site(workstation.folder, SITE.replace("rtsp://gate/stream", address))
    outcome = workstation.bundle("--target", "pi-trixie")
    assert outcome.code == 2
    assert "source.uri of gate: expected no login in a bundle for all devices" in outcome.complaint
    assert "--device" in outcome.complaint
    assert "secret" not in outcome.err
    assert not (workstation.folder / "box.tar.zst").exists()
    assert workstation.bundle("--device", "gate-1").code == 0
    assert stat.S_IMODE((workstation.folder / "box.tar.zst").stat().st_mode) == 0o600


def test_the_wifi_and_who_may_log_in_are_in_no_bundle(made: Workstation):
    whole = b"".join(data for _, data in bundles.members(made.folder / "box.tar.zst"))
    for secret in (b"correct horse", WIFI.encode(), b"ssh-ed25519", b"me@laptop"):
        assert secret not in whole


def test_the_same_inputs_give_the_same_bytes_and_need_no_index(
    fresh: Workstation, monkeypatch: pytest.MonkeyPatch
):
    words = ("--device", "gate-1", "--key", fresh.key)
    assert fresh.bundle(*words).code == 0
    first = (fresh.folder / "box.tar.zst").read_bytes()
    monkeypatch.setenv("PIP_FIND_LINKS", str(fresh.folder / "nowhere"))
    wheels.make_wheel(fresh.folder / "index", "leaf", "2.0")
    assert fresh.bundle(*words).code == 0
    assert (fresh.folder / "box.tar.zst").read_bytes() == first


def test_another_runtime_is_another_set_of_wheels(fresh: Workstation):
    outcome = fresh.bundle("--target", "pi-bookworm", "--runtime", "tflite-runtime")
    assert outcome.code == 0, outcome.err
    configs = {it for it in names(fresh.unpacked()) if it.startswith("config/")}
    assert configs == {"config/yard-1/yard-1.toml", "config/yard-1/agent.crt"}, "but no key"
    there = {it for it in names(fresh.unpacked()) if it.startswith("wheels/")}
    assert there == {
        "wheels/edge_reid-0.1.0-py3-none-any.whl",
        "wheels/tflite_runtime-2.14-cp311-cp311-manylinux_2_28_aarch64.whl",
        "wheels/numbers_to_go-1.26-cp311-cp311-manylinux_2_28_aarch64.whl",
        "wheels/pip-26.0-py3-none-any.whl",
    }


def test_the_page_comes_along_where_an_agent_has_one(fresh: Workstation):
    page = "page-maker>=1; extra == 'web'"
    fresh.wheel = wheels.own(fresh.folder, (*wheels.OURS, page))
    wheels.make_wheel(fresh.folder / "index", "page-maker", "1.5")
    assert fresh.bundle("--device", "gate-1").code == 0
    assert "wheels/page_maker-1.5-py3-none-any.whl" not in names(fresh.unpacked())
    web = '[agent.web]\nlisten = "127.0.0.1:8480"\n[agent.detect]'
    write_site(fresh.folder, SITE.replace("[agent.detect]", web))
    complaint = fresh.bundle("--device", "gate-1").complaint
    assert "expected page-maker in it" in complaint
    assert "delete the lock file" in complaint
    fresh.lock.unlink()
    assert fresh.bundle("--device", "gate-1", out="page.tar.zst").code == 0
    there = names(fresh.unpacked("page.tar.zst"))
    assert "wheels/page_maker-1.5-py3-none-any.whl" in there
    assert "wheels/leaf-1.0-py3-none-any.whl" in there


def test_the_sbom_is_cyclonedx_and_names_every_wheel_and_model(made: Workstation):
    folder = made.unpacked()
    text = (folder / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    parts = {it["name"]: it for it in json.loads(text)["components"]}
    hashes = {it["hashes"][0]["content"] for it in parts.values()}
    files = json.loads((folder / "manifest.json").read_text())["files"]
    listed = {it["path"]: it["sha256"] for it in files}
    assert hashes == {
        digest for path, digest in listed.items() if path.endswith((".whl", ".tflite"))
    }
    assert parts["leaf"]["licenses"] == [{"expression": "MIT"}]
    assert parts["pip"]["licenses"] == [{"license": {"name": "MIT License"}}]
    assert parts["leaf"]["purl"].startswith("pkg:pypi/leaf@1.0")
    assert "licenses" not in parts["numbers-to-go"]


def test_units_and_installer_come_as_they_lie_in_the_sources(made: Workstation):
    folder = made.unpacked()
    deploy = Path(__file__).parents[3] / "deploy"
    for room in ("systemd", "install"):
        sources = {
            name
            for name in names(deploy / room)
            if "__pycache__" not in name and not name.endswith(".md")
        }
        assert names(folder / room) == sources
        for name in sources:
            assert (folder / room / name).read_bytes() == (deploy / room / name).read_bytes()


def test_a_first_gallery_comes_along_with_its_device_only(workstation: Workstation):
    folder = workstation.folder
    store = GalleryStore.create(folder / "gallery.db", MODEL_ID, 256)
    text = SITE.replace('[agent.gallery_sync]\nsource = "mqtt"\n', "")
    write_site(folder, text.replace("[files]", '[files]\ngallery = "gallery.db"'))
    with store:  # somebody has it open
        assert workstation.bundle("--device", "gate-1").code == 0
    copy = workstation.unpacked() / "gallery" / "gallery.db"
    GalleryStore.open(copy, model_id=MODEL_ID).close()
    assert workstation.bundle("--target", "pi-trixie", out="all.tar.zst").code == 0
    assert not (workstation.unpacked("all.tar.zst") / "gallery").exists()


def test_a_first_gallery_may_be_of_an_earlier_default_where_the_site_names_no_model(
    workstation: Workstation, edge_reid
):
    """As the bundle has that one, and the device runs the model of its gallery."""
    folder, its = workstation.folder, load_embedding_manifest(shipped_model(MOBILENET_EMBEDDING))
    GalleryStore.create(folder / "gallery.db", its.model_id, its.dimension).close()
    text = SITE.replace('[agent.gallery_sync]\nsource = "mqtt"\n', "")
    text = text.replace("[files]", '[files]\ngallery = "gallery.db"')
    write_site(folder, text)
    outcome = workstation.bundle("--device", "gate-1")
    assert outcome.code == 0
    said = (
        f"embedding model {MOBILENET_EMBEDDING.removesuffix('.tflite')} ({its.model_id}), that of "
        "its first gallery, as the site names none"
    )
    assert said in outcome.out
    assert said in edge_reid("bundle", "verify", folder / "box.tar.zst").out
    models = f'[agent.models]\nembedding = "{OPEN}"\n[agent.detect]'
    write_site(folder, text.replace("[agent.detect]", models))
    assert (
        f"got {MOBILENET_EMBEDDING.removesuffix('.tflite')} ("
        in workstation.bundle("--device", "gate-1").complaint
    )


def test_a_first_gallery_of_another_model_is_refused(workstation: Workstation):
    folder = workstation.folder
    GalleryStore.create(folder / "gallery.db", "0" * 16, 256).close()
    text = SITE.replace('[agent.gallery_sync]\nsource = "mqtt"\n', "")
    write_site(folder, text.replace("[files]", '[files]\ngallery = "gallery.db"'))
    outcome = workstation.bundle("--device", "gate-1")
    assert outcome.code == 1
    assert "0" * 16 in outcome.complaint
    write_site(folder, SITE.replace("[files]", '[files]\ngallery = "gallery.db"'))
    assert workstation.bundle("--device", "gate-1").code == 1  # a synced one is of another kind


@pytest.mark.parametrize("named", [MOBILENET_EMBEDDING, OPEN])
def test_a_model_that_the_site_names_is_the_one_that_is_told(
    workstation: Workstation, edge_reid, named: str
):
    """Also where it is one that a device might take of itself."""
    name, its = (
        Path(named).stem,
        load_embedding_manifest(shipped_model(f"{Path(named).stem}.tflite")),
    )
    models = f'[agent.models]\nembedding = "{name}"\n[agent.detect]'
    write_site(workstation.folder, SITE.replace("[agent.detect]", models))
    outcome = workstation.bundle("--device", "gate-1")
    assert f"embedding model {name} ({its.model_id}), " in outcome.out
    verified = edge_reid("bundle", "verify", workstation.folder / "box.tar.zst")
    assert verified.out.endswith(f"embedding model {name} ({its.model_id})\n")


def test_a_model_of_ones_own_takes_the_place_of_the_shipped(workstation: Workstation):
    mine = workstation.folder / "mine.tflite"
    shutil.copy(shipped_model(EMBEDDING), mine)
    models = '[agent.models]\nembedding = "mine.tflite"\n[agent.detect]'
    write_site(workstation.folder, SITE.replace("[agent.detect]", models))
    assert workstation.bundle("--device", "gate-1").code == 1  # without its manifest
    shutil.copy(shipped_model(EMBEDDING).with_suffix(".json"), mine.with_suffix(".json"))
    assert workstation.bundle("--device", "gate-1").code == 0
    folder = workstation.unpacked()
    assert (folder / "models/mine.tflite").read_bytes() == mine.read_bytes()
    assert "/opt/edge-reid/current/models/mine.tflite" in (folder / "config/gate.toml").read_text()


def test_shipped_models_are_brought_by_their_names(workstation: Workstation):
    """Those of the site, and the detector that a camera has of its own."""
    models = f'[agent.models]\nembedding = "{SMALLER}"\ndetector = "{NEAR}"\n[agent.detect]'
    text = SITE.replace("[agent.detect]", models)
    uri = 'source = { uri = "rtsp://gate/stream" }\n'
    write_site(workstation.folder, text.replace(uri, f'{uri}detect = {{ model = "{FAR}" }}\n'))
    assert workstation.bundle("--device", "gate-1", "--key", workstation.key).code == 0
    folder, key = workstation.unpacked(), read_public_key(workstation.public_key)
    brought = {path.stem for path in (folder / "models").glob("*.tflite")}
    assert brought == {SMALLER, NEAR, FAR}
    config = read_toml(folder / "config/gate.toml")
    named = {"embedding": SMALLER, "detector": NEAR}
    for path, name in (
        *((config["models"][kind], name) for kind, name in named.items()),
        (config["cameras"]["gate"]["detect"]["model"], FAR),
    ):
        assert path == f"/opt/edge-reid/current/models/{name}.tflite"
        model = folder / "models" / f"{name}.tflite"
        assert model.read_bytes() == shipped_model(model.name).read_bytes()
        assert is_signed(model, key)
    described = json.loads((folder / "sbom.cdx.json").read_text())
    assert {SMALLER, NEAR, FAR} <= {part["name"] for part in described["components"]}


def naming(embedding: str) -> str:
    return SITE.replace(
        "[agent.detect]", f'[agent.models]\nembedding = "{embedding}"\n[agent.detect]'
    )


@pytest.mark.parametrize(
    ("text", "embeddings", "files"),
    [
        (SITE, DEFAULT_EMBEDDINGS, {DETECTOR}),
        (naming(OPEN), (OPEN_EMBEDDING,), {DETECTOR, OPEN_EMBEDDING}),
    ],
    ids=["", OPEN],
)
def test_a_bundle_has_no_embedding_model_but_that_of_its_site(
    workstation: Workstation, text: str, embeddings: tuple[str, ...], files: set[str]
):
    """Neither as a file nor in our wheel, which has them all; and its SBOM names what is there.

    Where the site names none, it has the default and those that were the default before, inside
    the wheel.
    """
    workstation.wheel = wheels.own_with_models(workstation.folder)
    write_site(workstation.folder, text)
    for out in ("box.tar.zst", "again.tar.zst"):
        assert workstation.bundle("--device", "gate-1", out=out).code == 0
    first, again = (workstation.folder / out for out in ("box.tar.zst", "again.tar.zst"))
    assert first.read_bytes() == again.read_bytes()
    folder = workstation.unpacked()
    wheel = folder / "wheels/edge_reid-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        there = {Path(name).name for name in archive.namelist() if name.endswith(".tflite")}
    assert there == {*DETECTORS, *embeddings}
    assert {file.name for file in folder.glob("models/*.tflite")} == files
    parts = json.loads((folder / "sbom.cdx.json").read_text())["components"]
    models = [part["name"] for part in parts if part["type"] == "machine-learning-model"]
    assert models == sorted(Path(name).stem for name in there)
    (ours,) = (part for part in parts if part["name"] == "edge-reid")
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    digests = {file["sha256"] for file in listed if file["path"].endswith(wheel.name)}
    assert {ours["hashes"][0]["content"]} == digests == {file_sha256(wheel)}


def test_a_model_of_ones_own_is_the_only_one(workstation: Workstation):
    """Also one that is called as a shipped one is, whose place it takes."""
    workstation.wheel = wheels.own_with_models(workstation.folder)
    for suffix in (".tflite", ".json"):
        model = shipped_model(SMALLER_EMBEDDING).with_suffix(suffix)
        shutil.copy(model, workstation.folder / f"{OPEN}{suffix}")
    write_site(workstation.folder, naming(OPEN))
    assert workstation.bundle("--device", "gate-1").code == 0
    folder = workstation.unpacked()
    with zipfile.ZipFile(folder / "wheels/edge_reid-0.1.0-py3-none-any.whl") as archive:
        assert not [name for name in archive.namelist() if "person_reid" in name]
    parts = json.loads((folder / "sbom.cdx.json").read_text())["components"]
    assert [part["name"] for part in parts if "person_reid" in part["name"]] == [SMALLER]


def test_a_given_wheel_that_lacks_the_model_of_the_site_is_refused(workstation: Workstation):
    workstation.wheel = wheels.own_with_models(workstation.folder)
    write_site(workstation.folder, naming(OPEN))
    assert workstation.bundle("--device", "gate-1").code == 0
    workstation.wheel = next((workstation.unpacked() / "wheels").glob("edge_reid-*"))
    write_site(workstation.folder, SITE)
    outcome = workstation.bundle("--device", "gate-1", out="other.tar.zst")
    assert outcome.code == 1
    assert f"expected the site's embedding model {EMBEDDING} in it, got" in outcome.complaint
    assert not (workstation.folder / "other.tar.zst").exists()


def test_a_file_beside_the_sites_is_brought_instead(workstation: Workstation):
    """As a fine-tune may be called what it began with."""
    shutil.copy(shipped_model(f"{NEAR}.tflite"), workstation.folder / f"{FAR}.tflite")
    shutil.copy(shipped_model(f"{NEAR}.json"), workstation.folder / f"{FAR}.json")
    uri = 'source = { uri = "rtsp://gate/stream" }\n'
    own = f'{uri}detect = {{ model = "{FAR}" }}\n'
    write_site(workstation.folder, SITE.replace(uri, own))
    assert workstation.bundle("--device", "gate-1").code == 0
    brought = workstation.unpacked() / f"models/{FAR}.tflite"
    assert brought.read_bytes() == shipped_model(f"{NEAR}.tflite").read_bytes()


def test_two_models_of_one_name_are_refused(workstation: Workstation):
    (workstation.folder / "mine").mkdir()
    for suffix in ("tflite", "json"):
        name = f"{FAR}.{suffix}"
        shutil.copy(shipped_model(name), workstation.folder / "mine" / name)
    models = f'[agent.models]\ndetector = "mine/{FAR}.tflite"\n[agent.detect]'
    uri = 'source = { uri = "rtsp://gate/stream" }\n'
    text = SITE.replace(uri, f'{uri}detect = {{ model = "{FAR}" }}\n')
    write_site(workstation.folder, text.replace("[agent.detect]", models))
    outcome = workstation.bundle("--device", "gate-1")
    assert outcome.code == 2
    assert f"expected files of different names, got two of {FAR}" in outcome.complaint


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ("--device gate-1 --target pi-bookworm", 2, "expected target pi-trixie as the site's file"),
        ("--device gate-1 --runtime tflite-runtime", 2, "expected litert for pi-trixie"),
        ("--device door-1", 2, "device door-1: expected one of gate-1, yard-1"),
        ("--target jetson-jp6", 2, "the site's file has no device of that kind"),
        ("--target pi-4", 2, "target pi-4: expected one of pi-bookworm"),
        ("--device gate-1 --runtime onnx", 2, "runtime onnx: expected litert or tflite-runtime"),
        ("--device gate-1 --release ../1", 2, "release '../1': expected letters"),
        ("--device gate-1 --key nowhere.key", 2, "signing key nowhere.key: cannot be read"),
        ("--device gate-1 --wheel nowhere.whl", 1, "nowhere.whl: expected a wheel"),
        ("--device gate-1 --lock /nowhere/lock", 1, "lock /nowhere/lock: cannot be written"),
        ("--device gate-1 --out /nowhere/x", 1, "bundle /nowhere/x: cannot be written"),
    ],
)
def test_an_order_that_cannot_be_is_one_line(
    workstation: Workstation, words: str, code: int, complaint: str
):
    outcome = workstation.bundle(*words.split())
    assert outcome.code == code
    assert complaint in outcome.complaint
    assert not (workstation.folder / "box.tar.zst").exists()


def test_a_package_without_a_wheel_for_the_device_is_named(fresh: Workstation):
    for path in (fresh.folder / "index").glob("numbers_to_go*cp313*"):
        path.unlink()
    outcome = fresh.bundle("--device", "gate-1")
    assert outcome.code == 1
    assert "expected a wheel of numbers-to-go>=1.26 for Python 3.13 on aarch64" in outcome.complaint
    assert not (fresh.folder / "box.tar.zst").exists()


def test_a_wheel_that_is_not_ours_is_refused(workstation: Workstation):
    workstation.wheel = wheels.make_wheel(workstation.folder, "other", "1.0")
    assert "expected one of edge-reid, it is of other" in workstation.bundle().complaint


def test_all_mistakes_of_the_site_and_of_a_boxs_files_are_listed(workstation: Workstation):
    (workstation.folder / "pki/ca.crt").unlink()
    (workstation.folder / "pki/clients/gate-1.key").chmod(0o644)
    outcome = workstation.bundle("--device", "gate-1")
    assert outcome.code == 2
    assert "2 mistakes" in outcome.err
    assert "files.ca_file" in outcome.err
    assert "others may read" in outcome.err


def test_a_camera_that_asks_for_another_runtime_is_said(workstation: Workstation):
    models = '[agent.models]\nruntime = "tflite-runtime"\n[agent.detect]'
    write_site(workstation.folder, SITE.replace("[agent.detect]", models))
    complaint = workstation.bundle("--target", "pi-bookworm").complaint
    assert "its models.runtime is tflite-runtime, the bundle is for litert" in complaint


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path, edge_reid):
    """Such as the site's own, with --out in the place of --config."""
    site = tmp_path / "site.toml"
    site.write_text("[site]\n")
    outcome = edge_reid("bundle", "--config", tmp_path / "other.toml", "--out", site)
    assert outcome.code == 2
    assert "expected an older bundle or no file, got another kind of file" in outcome.complaint
    assert site.read_text() == "[site]\n"


def test_verify_says_whose_it_is_and_what_is_wrong(made: Workstation, tmp_path: Path, edge_reid):
    path = Path(shutil.copy(made.folder / "box.tar.zst", tmp_path))
    words = ("bundle", "verify", path, "--public-key", made.public_key)
    outcome = edge_reid(*words)
    assert outcome.code == 0
    key_id = read_public_key(made.public_key).key_id
    assert f"whole, signed by {key_id}: release 0.1.0 for device gate-1 of lab" in outcome.out
    default = f"{EMBEDDING.removesuffix('.tflite')} ({MODEL_ID})"
    assert (
        "embedding model that of its gallery, as the site names none; before the first, "
        f"{default}\n"
    ) in outcome.out
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert edge_reid(*words).code == 1
    path.write_bytes(whole)
    SigningKey.generate().write(tmp_path / "third")
    third = tmp_path / "third" / "gallery-signing.pub"
    outcome = edge_reid("bundle", "verify", path, "--public-key", third)
    assert "the signature is not of the pinned key" in outcome.complaint


def test_a_device_that_has_not_the_packages_for_it_says_so(
    edge_reid, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    outcome = edge_reid("bundle", "--config", "site.toml", "--out", "box.tar.zst")
    assert outcome.code == 1
    assert "pip install '.[deploy]' in a checkout" in outcome.complaint


def test_our_wheel_is_built_from_the_checkout_the_same_every_time(tmp_path: Path):
    with own_wheel(None) as first, own_wheel(None) as second:
        assert first.path.read_bytes() == second.path.read_bytes()
        with zipfile.ZipFile(first.path) as archive:
            inside = set(archive.namelist())
    assert {"edge_reid/release/bundle_file.py", "deploy/bundle/bundle.py"} <= inside
    assert {"deploy/systemd/edge-reid@.service", "deploy/install/install.py"} <= inside
    assert f"edge_reid/models/{EMBEDDING}" in inside
