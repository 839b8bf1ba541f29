"""What `edge-reid doctor` finds, and what it says to do."""

from __future__ import annotations

import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from support import campus
from support.mjpeg_camera import MjpegCamera
from support.mosquitto import free_port

from edge_reid.core import bundled_models
from edge_reid.core.bundled_models import (
    DETECTOR,
    DETECTORS,
    EMBEDDING,
    MOBILENET_EMBEDDING,
    OPEN_EMBEDDING,
    shipped_model,
)
from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.config.vision_settings import ModelSettings
from edge_reid.diagnostics.doctor import look_at_camera
from edge_reid.gallery.replica import Replica
from edge_reid.signing.keys import SigningKey, read_public_key

OLD = MOBILENET_EMBEDDING.removesuffix(".tflite")


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In which no path is broken in two."""
    monkeypatch.setenv("COLUMNS", "1000")


def test_a_sound_installation_is_all_well(edge_reid, tmp_path, samples):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    outcome = edge_reid("doctor", "--gallery", gallery, "--source", campus.CLIP)
    assert outcome.code == 0
    assert "all well" in outcome.out
    assert outcome.out.count("checksum good") == 2
    assert "terms: Apache-2.0" in " ".join(outcome.out.split())  # of the detector
    assert "terms: research use only" in " ".join(outcome.out.split())  # of the default embedder
    assert "1 identity" in outcome.out
    assert "768×576" in outcome.out


def test_what_is_well_but_for_a_remark_says_so_at_the_end(edge_reid, tmp_path):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    outcome = edge_reid("doctor", "--gallery", gallery)
    assert (outcome.code, "! gallery" in outcome.out) == (0, True)
    assert outcome.out.splitlines()[-1] == "all well, but look at what has a !"


def test_the_example_of_a_configuration_is_well_as_it_stands(edge_reid, tmp_path, samples):
    """All that it needs besides is a gallery and a camera: here a clip."""
    edge_reid("gallery", "init", tmp_path / "gallery.db")
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", tmp_path / "gallery.db")
    example = (campus.CLIP.parents[2] / "deploy" / "agent.toml").read_text()
    config = tmp_path / "agent.toml"
    config.write_text(example.replace('uri = "0"', f'uri = "{campus.CLIP}"'))
    outcome = edge_reid("doctor", "--config", config)
    assert (outcome.code, "all well" in outcome.out) == (0, True)


def test_a_threshold_beyond_what_was_measured_is_a_warning(edge_reid, tmp_path, samples):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "{gallery}"\n'
        f'[source]\nuri = "{campus.CLIP}"\n[decide]\ntarget_fpir = 0.000001\n'
    )
    outcome = edge_reid("doctor", "--config", config)
    assert outcome.code == 0
    said = " ".join(outcome.out.split())  # long lines are broken
    assert "for FPIR 1e-06 lies beyond what was measured" in said
    assert "edge-reid calibrate" in said


def test_every_camera_and_every_detector_is_looked_at(edge_reid, tmp_path, wide_terminal):
    edge_reid("gallery", "init", tmp_path / "gallery.db")
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "lab"\ngallery = "gallery.db"\n'
        f'[cameras.gate]\nsource.uri = "{campus.CLIP}"\n'
        '[cameras.door]\nsource.uri = "no.mp4"\ndetect.model = "models/no.tflite"\n'
    )
    outcome = edge_reid("doctor", "--config", config)
    said = " ".join(outcome.out.split())
    assert outcome.code == 1
    assert "✓ source gate 768×576" in said
    assert "✗ source door video" in said
    assert "✗ detector of door expected a file or the name of a shipped detector, got " in said
    assert "models/no.tflite, which is not there → shipped are nanodet_g_person_320x192, " in said


def test_a_model_that_is_missing_is_told_once_and_as_run_tells_it(
    edge_reid, tmp_path, samples, wide_terminal
):
    """And not of the gallery, too, which is looked at as far as it can be without the model."""
    gallery, config = tmp_path / "gallery.db", tmp_path / "agent.toml"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "gallery.db"\nsource.uri = "{campus.CLIP}"\n'
        '[models]\nembedding = "models/no.tflite"\n'
    )
    run = edge_reid("run", "--config", config).complaint
    sentence = run.partition("models.embedding: ")[2]
    said = " ".join(edge_reid("doctor", "--config", config).out.split())
    assert f"✗ embedding model {sentence.replace('; shipped', ' → shipped')}" in said
    assert "– gallery 1 identity, version 1; not compared with the model, which is told" in said
    assert said.endswith("1 to mend")
    gallery.write_text("not a gallery")
    said = " ".join(edge_reid("doctor", "--config", config).out.split())
    assert "✗ gallery gallery " in said
    assert said.endswith("2 to mend")


@pytest.mark.broker
def test_a_broker_that_lets_us_in(edge_reid, broker):
    outcome = edge_reid("doctor", "--broker", broker.url)
    assert outcome.code == 0
    assert f"{broker.url} lets us in" in outcome.out


def test_every_fault_is_named_and_the_rest_still_checked(edge_reid, tmp_path):
    model = tmp_path / "model.tflite"
    shutil.copy(shipped_model(EMBEDDING), model)
    shutil.copy(shipped_model(EMBEDDING).with_suffix(".json"), tmp_path / "model.json")
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    (tmp_path / "gallery.db").write_text("not a gallery")
    outcome = edge_reid(
        *("doctor", "--model", model, "--gallery", tmp_path / "gallery.db"),
        *("--source", tmp_path / "no.mp4", "--broker", f"mqtt://127.0.0.1:{free_port()}"),
    )
    assert outcome.code == 1
    for mark in (
        "✗ embedding model",
        "✗ gallery",
        "✗ source",
        "✗ broker",
        "✓ detector",
        "✓ runtime",
    ):
        assert mark in outcome.out
    assert "4 to mend" in outcome.out


def test_a_path_is_shown_as_it_is(edge_reid, tmp_path):
    video = tmp_path / "[cam]" / "[" / "x]" / "no.mp4"
    outcome = edge_reid("doctor", "--source", video)
    assert str(video) in "".join(outcome.out.splitlines())  # long lines are broken


def test_an_empty_gallery_is_only_a_warning(edge_reid, tmp_path):
    gallery = tmp_path / "gallery.db"
    edge_reid("gallery", "init", gallery)
    outcome = edge_reid("doctor", "--gallery", gallery)
    assert outcome.code == 0
    assert "nobody is enrolled" in outcome.out
    assert "edge-reid gallery enroll" in outcome.out


def test_offline_what_may_be_away_is_only_a_warning(edge_reid, tmp_path):
    """As an installer asks: the models must be good, the network may come later."""
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    outcome = edge_reid("doctor", "--offline", "--source", tmp_path / "no.mp4", "--broker", nobody)
    assert outcome.code == 0
    assert "! source" in outcome.out
    assert "! broker" in outcome.out


def test_offline_a_model_or_a_key_must_be_good(edge_reid, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(shipped_model(EMBEDDING).read_bytes()[:-1] + b"!")
    shutil.copy(shipped_model(EMBEDDING).with_suffix(".json"), tmp_path / "model.json")
    (tmp_path / "agent.crt").write_text("no certificate")
    config = tmp_path / "agent.toml"
    config.write_text(
        'site = "lab"\ncamera = "gate"\ngallery = "gallery.db"\n[source]\nuri = "no.mp4"\n'
        '[mqtt]\nurl = "mqtts://127.0.0.1:9"\ncert_file = "agent.crt"\nkey_file = "agent.crt"\n'
        '[models]\nembedding = "model.tflite"\n'
    )
    outcome = edge_reid("doctor", "--offline", "--config", config)
    assert outcome.code == 1
    assert "✗ embedding model" in outcome.out
    assert "✗ broker" in outcome.out


def test_a_device_that_follows_a_published_gallery(edge_reid, tmp_path, samples):
    edge_reid("keys", "new", "--out", tmp_path)
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "replica.db"\n[source]\nuri = "{campus.CLIP}"\n'
        f'[gallery_sync]\nsource = "{tmp_path}/out"\npublic_key = "gallery-signing.pub"\n'
    )
    outcome = edge_reid("doctor", "--config", config)
    assert outcome.code == 0, outcome.out
    assert "none has come yet" in outcome.out
    gallery, out = tmp_path / "gallery.db", tmp_path / "out"
    edge_reid("gallery", "init", gallery)
    name, photos = next(iter(samples.items()))
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    publish = ("gallery", "publish", "--gallery", gallery, "--site", "lab", "--to", out)
    assert edge_reid(*publish, "--key", tmp_path / "gallery-signing.key").code == 0
    _take(tmp_path / "replica.db", out, EMBEDDING)
    said = " ".join(edge_reid("doctor", "--config", config).out.split())
    assert "1 identity, version" in said
    assert ", same model" in said
    assert "names none" not in said, "it is the default's"

    gallery = tmp_path / "of another model.db"
    edge_reid("gallery", "init", gallery, "--model", OLD)
    edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
    publish = ("gallery", "publish", "--gallery", gallery, "--site", "lab", "--to", out)
    assert edge_reid(*publish, "--supersede", "--key", tmp_path / "gallery-signing.key").code == 0
    _take(tmp_path / "replica.db", out, MOBILENET_EMBEDDING)
    said = " ".join(edge_reid("doctor", "--config", config).out.split())
    assert f"✓ embedding model {OLD}, model_id" in said
    assert (
        ", same model, taken as models.embedding names none; the default, "
        f"{Path(EMBEDDING).stem}, is taken once a gallery of it is published"
    ) in said
    named = Path(OPEN_EMBEDDING).stem, Path(EMBEDDING).stem
    for model, until in zip(
        named, ("nobody is recognised until", "kept from before, is used until"), strict=True
    ):
        text = config.read_text().partition("[models]")[0]
        config.write_text(f'{text}[models]\nembedding = "{model}"\n')
        outcome = edge_reid("doctor", "--config", config)
        said = " ".join(outcome.out.split())
        assert outcome.code == 0
        assert f"of model {OLD} (" in said
        assert until in said


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """The folder of its models, which a test may damage."""
    folder = tmp_path / "installation" / "models"
    folder.mkdir(parents=True)
    for model in (DETECTOR, EMBEDDING, MOBILENET_EMBEDDING):
        for file in (shipped_model(model), shipped_model(model).with_suffix(".json")):
            shutil.copy(file, folder)
    monkeypatch.setattr(bundled_models, "_PACKAGE", folder.parent / "edge_reid")
    return folder


@pytest.mark.usefixtures("wide_terminal")
def test_a_damaged_model_of_the_followed_gallery_is_told_with_what_is_used_in_its_place(
    edge_reid, tmp_path, installation, samples
):
    replica, out = tmp_path / "replica.db", tmp_path / "out"
    edge_reid("keys", "new", "--out", tmp_path)
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "replica.db"\n[source]\nuri = "{campus.CLIP}"\n'
        f'[gallery_sync]\nsource = "{out}"\npublic_key = "gallery-signing.pub"\n'
    )
    for model in (MOBILENET_EMBEDDING, EMBEDDING):
        gallery = tmp_path / f"{model}.db"
        edge_reid("gallery", "init", gallery, "--model", Path(model).stem)
        name, photos = next(iter(samples.items()))
        edge_reid("gallery", "enroll", name, photos[0].crop, "--gallery", gallery)
        publish = ("gallery", "publish", "--gallery", gallery, "--site", "lab", "--to", out)
        key = ("--key", tmp_path / "gallery-signing.key")
        assert edge_reid(*publish, "--supersede", *key).code == 0
        _take(replica, out, model)
    damaged = installation / EMBEDDING
    damaged.write_bytes(damaged.read_bytes()[:-100])
    outcome = edge_reid("doctor", "--config", config)
    said = " ".join(outcome.out.split())
    assert outcome.code == 1
    assert f"✓ embedding model {OLD}, model_id" in said
    assert "version 2: version 1, kept from before, is used, as model " in said
    assert "→ restore the file, or install edge-reid anew" in said
    with Replica.open(replica) as held:
        held.purge(keep_s=0, now_utc_s=time.time() + 1)
    said = " ".join(edge_reid("doctor", "--config", config).out.split())
    assert f"✗ embedding model model {damaged}: its manifest expects sha256" in said


def _take(replica_path, folder, model):
    """What the device's own sync does with a folder."""
    from edge_reid.core.manifest import load_embedding_manifest
    from edge_reid.gallery.gallery_head import TrustPolicy
    from edge_reid.gallery.gallery_install import install
    from edge_reid.signing.keys import read_public_key
    from edge_reid.transfer.folder import FolderSource
    from edge_reid.transfer.gallery_transfer import GALLERY

    manifest = load_embedding_manifest(shipped_model(model))
    key = read_public_key(folder.parent / "gallery-signing.pub")
    pinned = TrustPolicy(key, "lab", manifest.model_id, manifest.dimension, 1 << 24)
    source = FolderSource(folder, GALLERY, poll_s=0.1)
    with Replica.open(replica_path) as replica:
        install(source.news(1.0), source.fetch, replica, pinned, now_utc_s=0.0)


def test_a_device_that_follows_releases_needs_their_key(edge_reid, tmp_path):
    _, key = SigningKey.generate().write(tmp_path, "release")
    config = tmp_path / "agent.toml"
    config.write_text(
        f'site = "lab"\ncamera = "gate"\ngallery = "{tmp_path}/gallery.db"\n'
        f'[source]\nuri = "{campus.CLIP}"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n'
        f'[update]\nsource = "{tmp_path}/stick"\npublic_key = "{key}"\n'
    )
    said = " ".join(edge_reid("doctor", "--offline", "--config", config).out.split())
    assert f"signed by {read_public_key(key).key_id}: no such folder now → put the stick in" in said
    key.write_text("no key")
    outcome = edge_reid("doctor", "--offline", "--config", config)
    assert outcome.code == 1
    assert "✗ updates" in outcome.out


def test_a_camera_is_looked_at_with_every_detector(edge_reid):
    outcome = edge_reid("doctor", "--camera", campus.CLIP, "--seconds", 1)
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "10 pictures of 768×576" in said
    header = [line.split("┃")[3:7] for line in outcome.out.splitlines() if "┃" in line]
    columns = zip(*header, strict=True)
    names = {"".join(map(str.strip, column)).removesuffix("in use") for column in columns}
    assert names == {Path(name).stem for name in DETECTORS}
    assert "128–450" in said
    assert "in use" in said
    assert "models.detector =" in said or "it fits this camera" in said


def test_further_lines_stand_under_the_first_and_none_is_too_wide(
    edge_reid, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("COLUMNS", "80")
    outcome = edge_reid("doctor", "--gallery", tmp_path / f"{'a-long-name-' * 6}.db")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in outcome.out.splitlines()]
    assert max(map(len, lines)) <= 80
    detector = next(number for number, line in enumerate(lines) if " detector " in line)
    assert lines[detector].index("nanodet") == 20
    assert re.match(r" {20}\S", lines[detector + 1])
    advice = next(number for number, line in enumerate(lines) if line.startswith("     → "))
    assert all(re.match(r" {7}\S| [✓–✗!] ", line) for line in lines[advice + 1 : -1])


def test_in_a_pipe_each_finding_is_one_line(edge_reid):
    lines = edge_reid("doctor").out.splitlines()
    assert all(line.startswith((" ✓", " –", " !", " ✗", "     →")) for line in lines[:-1])
    assert any("checksum good" in line and "signature not looked at" in line for line in lines)


def test_a_camera_that_is_not_there_is_a_fault_and_not_looked_at(edge_reid, tmp_path):
    outcome = edge_reid("doctor", "--camera", tmp_path / "none.mp4")
    assert outcome.code == 1
    assert "no such file" in " ".join(outcome.out.split())
    assert "in use" not in outcome.out


def test_a_live_camera_that_falls_silent_is_told_from_what_it_showed():
    frames = campus.read_frames(set(range(60, 90, 5)))
    with MjpegCamera(list(frames.values()), hangs_after=80) as camera:
        threading.Thread(target=refuse_from_now_on, args=(camera,), daemon=True).start()
        source = SourceSettings(uri=camera.url, stall_timeout_s=1.5)
        look, tried = look_at_camera(source, ModelSettings(), seconds=3)
    assert tried[0].path == shipped_model(DETECTOR)
    assert look.size_px == (768, 576)
    assert look.pictures
    assert look.sightings


def refuse_from_now_on(camera: MjpegCamera) -> None:
    """Give no new connection any picture, once a camera has been looked at for a while."""
    while not camera.connections:
        time.sleep(0.01)
    time.sleep(1.5)
    camera.answers = False


@pytest.mark.parametrize("option", ["--model", "--detector", "--gallery", "--source", "--broker"])
def test_what_is_given_beside_a_configuration_is_not_passed_over(edge_reid, tmp_path, option):
    """It was, and the doctor said "all well" of another model than the one that was asked about."""
    config = tmp_path / "agent.toml"
    config.write_text('site = "lab"\ncamera = "door"\nsource.uri = "0"\n', encoding="utf-8")
    given = {"--model": EMBEDDING, "--detector": DETECTOR}.get(option, "other")
    outcome = edge_reid("doctor", "--config", config, option, given)
    assert outcome.code == 2
    assert f"{option}: expected no other option beside --config" in outcome.err
