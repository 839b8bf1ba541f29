"""`site.toml`: what it says, what every agent gets from it, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sites import SITE, WIFI, per_camera, write_site

from deploy.flash.flash_job import _first_line
from deploy.site.site import load_site
from edge_reid.core.bundled_models import DETECTOR, EMBEDDING, SMALLER_EMBEDDING, shipped_model
from edge_reid.core.config.settings_file import load_settings
from edge_reid.core.errors import ConfigError, UsageError

SMALLER = SMALLER_EMBEDDING.removesuffix(".tflite")
FAR = "person_detection_0201_640x640"
NORTH = "devices.yard-1.cameras.north.detect"
SOUTH = "devices.yard-1.cameras.south"


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_site(write_site(folder, text))
    return list(caught.value.problems)


def changed(old: str, new: str) -> str:
    assert old in SITE
    return SITE.replace(old, new)


def test_a_site_says_what_its_devices_are(tmp_path: Path):
    site = load_site(write_site(tmp_path))
    assert sorted(site.devices) == ["gate-1", "yard-1"]
    assert site.target_of("gate-1") == "pi-trixie"
    assert site.target_of("yard-1") == "pi-bookworm"
    assert site.hostname_of("gate-1") == "camera-17"
    assert site.hostname_of("yard-1") == "yard-1"
    assert site.device("gate-1").group == "canary"
    assert site.wifi is not None
    assert site.wifi.password_file == tmp_path / "wifi.password"
    assert site.files.ca_file == tmp_path / "pki" / "ca.crt"


def test_each_camera_gets_a_whole_configuration(tmp_path: Path):
    (agent,) = load_site(write_site(tmp_path)).agents("gate-1")
    assert str(agent.path) == "/etc/edge-reid/gate.toml"
    on_device = tmp_path / "gate.toml"
    on_device.write_text(agent.text, encoding="utf-8")
    settings = load_settings(on_device, {})
    assert settings == agent.settings
    assert (settings.site, settings.camera, settings.agent) == ("lab", "gate", "gate-1")
    assert str(settings.gallery) == "/var/lib/edge-reid/gallery-gate.db"
    assert str(settings.outbox_path) == "/var/lib/edge-reid/outbox-gate.db"
    assert str(settings.mqtt.ca_file) == "/etc/edge-reid/secrets/ca.crt"
    assert str(settings.mqtt.cert_file) == "/etc/edge-reid/secrets/agent.crt"
    assert str(settings.mqtt.key_file) == "/etc/edge-reid/secrets/agent.key"
    assert settings.gallery_sync is not None
    assert str(settings.gallery_sync.public_key) == "/etc/edge-reid/secrets/gallery-signing.pub"


def test_the_cameras_of_a_device_are_one_agent(tmp_path: Path):
    (agent,) = load_site(write_site(tmp_path)).agents("yard-1")
    assert str(agent.path) == "/etc/edge-reid/yard-1.toml"
    on_device = tmp_path / "yard-1.toml"
    on_device.write_text(agent.text, encoding="utf-8")
    settings = load_settings(on_device, {})
    assert settings == agent.settings
    assert (settings.agent, sorted(settings.cameras)) == ("yard-1", ["north", "south"])
    assert str(settings.gallery) == "/var/lib/edge-reid/gallery-yard-1.db"
    assert str(settings.outbox_path) == "/var/lib/edge-reid/outbox-yard-1.db"
    assert str(settings.mqtt.cert_file) == "/etc/edge-reid/secrets/agent.crt"
    sources = {name: camera.source.uri for name, camera in settings.cameras.items()}
    assert sources == {"north": "rtsp://north/stream", "south": "rtsp://south/stream"}


def test_an_only_camera_has_what_any_camera_may_have(tmp_path: Path):
    """Zones, hours and a detector of its own need a table, which it then gets."""
    text = SITE + (
        '[devices.gate-1.cameras.gate.detect]\nmodel = "/opt/near.tflite"\n'
        '[[devices.gate-1.cameras.gate.zones]]\nname = "desk"\npoints = [[0, 0], [1, 0], [0, 1]]\n'
    )
    text = text.replace(
        "[devices.gate-1.cameras.gate]\n",
        '[devices.gate-1.cameras.gate]\nactive = ["mon-fri 07:00-19:00"]\nmqtt.keepalive_s = 20\n',
    )
    (agent,) = load_site(write_site(tmp_path, text)).agents("gate-1")
    assert (agent.settings.agent, list(agent.settings.cameras)) == ("gate-1", ["gate"])
    assert agent.settings.mqtt.keepalive_s == 20
    camera = agent.settings.cameras["gate"]
    assert [zone.name for zone in camera.zones] == ["desk"]
    assert camera.active == ("mon-fri 07:00-19:00",)
    assert str(camera.detect.model) == "/opt/near.tflite"
    wrong = text.replace("[0, 1]]", "]").replace("rtsp://gate/stream", "")
    assert any(
        line.startswith("devices.gate-1.cameras.gate.zones.0.points")
        for line in problems(tmp_path, wrong)
    )


@pytest.mark.parametrize("text", [SITE, per_camera()])
def test_a_camera_overrides_its_device_and_that_its_site(tmp_path: Path, text: str):
    text += "[devices.yard-1.agent]\ndetect = { rate_hz = 3, motion_gate = false }\n"
    text += 'source = { rtsp_transport = "udp" }\n'
    site = load_site(write_site(tmp_path, text))
    cameras = {
        name: camera
        for device in site.devices
        for agent in site.agents(device)
        for name, camera in agent.settings.cameras.items()
    }
    rates = {name: camera.detect.rate_hz for name, camera in cameras.items()}
    assert rates == {"gate": 2, "north": 4, "south": 3}
    gated = {name: camera.detect.motion_gate for name, camera in cameras.items()}
    assert gated == {"gate": True, "north": False, "south": False}
    transports = {name: camera.source.rtsp_transport for name, camera in cameras.items()}
    assert transports == {"gate": "tcp", "north": "udp", "south": "udp"}


def test_agents_that_share_a_device_share_neither_name_nor_certificate(tmp_path: Path):
    north, south = load_site(write_site(tmp_path, per_camera())).agents("yard-1")
    assert (north.name, south.name) == ("yard-1-north", "yard-1-south")
    assert [str(it.path) for it in (north, south)] == [
        "/etc/edge-reid/north.toml",
        "/etc/edge-reid/south.toml",
    ]
    assert str(north.settings.mqtt.key_file) == "/etc/edge-reid/secrets/yard-1-north.key"
    assert str(south.settings.mqtt.key_file) == "/etc/edge-reid/secrets/yard-1-south.key"


def test_a_site_of_agents_per_camera_is_told_what_to_write(tmp_path: Path):
    """As site files are up to 0.5."""
    found = problems(tmp_path, per_camera(agents=""))
    assert [line.partition(":")[0] for line in found] == [
        "devices.yard-1.cameras.north.cert_file",
        "devices.yard-1.cameras.south.cert_file",
    ]
    assert (
        'certs.py agent yard-1 --site lab --camera north --camera south), or agents = "per-camera"'
        in (found[0])
    )


def test_what_is_of_the_whole_agent_is_no_cameras(tmp_path: Path):
    text = SITE + "outbox = { max_bytes = 100000 }\nlimits = 1\n"
    assert problems(tmp_path, text) == [
        f"{SOUTH}.outbox: is of all cameras; set it in [devices.yard-1.agent]",
        f"{SOUTH}.limits: unknown key; did you mean {SOUTH}.lines?",
    ]


def test_the_configuration_on_a_device_names_no_file_of_the_workstation(tmp_path: Path):
    text = changed("[agent.detect]", '[agent.models]\nembedding = "my.tflite"\n[agent.detect]')
    site = load_site(write_site(tmp_path, text))
    for agent in (agent for name in site.devices for agent in site.agents(name)):
        assert str(tmp_path) not in agent.text
        assert str(agent.settings.models.embedding) == "/opt/edge-reid/current/models/my.tflite"
    assert site.embeddings == (tmp_path / "my.tflite",)


def test_a_shipped_model_has_its_name(tmp_path: Path):
    models = f'[agent.models]\nembedding = "{SMALLER}"\n[agent.detect]'
    text = changed("[agent.detect]", models).replace("rate_hz = 4", f'model = "{FAR}"')
    site = load_site(write_site(tmp_path, text))
    (yard,) = site.agents("yard-1")
    there = "/opt/edge-reid/current/models"
    assert str(yard.settings.models.embedding) == f"{there}/{SMALLER}.tflite"
    assert str(yard.settings.cameras["north"].detect.model) == f"{there}/{FAR}.tflite"
    assert yard.settings.cameras["south"].detect.model == Path(there, DETECTOR)
    assert site.embeddings == (shipped_model(f"{SMALLER}.tflite"),)
    assert site.detectors(["yard-1"]) == tuple(map(shipped_model, (DETECTOR, f"{FAR}.tflite")))
    assert site.detectors(["gate-1"]) == (shipped_model(DETECTOR),)


def test_a_name_that_no_model_has_is_a_mistake(tmp_path: Path):
    models = '[agent.models]\nembedding = "person_reid_opne"\n[agent.detect]'
    text = changed("[agent.detect]", models).replace("rate_hz = 4", 'model = "nanodet"')
    of_site, of_camera = problems(tmp_path, text)
    assert of_site.startswith(
        "agent.models.embedding: expected a file or the name of a shipped embedding model, got "
        f'"person_reid_opne"; shipped are {Path(EMBEDDING).stem} (the default), '
    )
    assert of_camera.startswith(f"{NORTH}.model: should be an absolute path on the device, or one ")
    assert FAR in of_camera


def test_an_empty_text_is_no_model_and_no_file(tmp_path: Path):
    models = '[agent.models]\nembedding = ""\n[agent.detect]'
    text = changed("[agent.detect]", models).replace("rate_hz = 4", 'model = ""')
    said = "expected a name or a path, got an empty text; write one, or leave the key out"
    assert problems(tmp_path, text) == [f"agent.models.embedding: {said}", f"{NORTH}.model: {said}"]


def test_the_wifi_is_in_no_configuration(tmp_path: Path):
    site = load_site(write_site(tmp_path))
    assert "wifi" not in "".join(agent.text for agent in site.agents("gate-1"))


def test_every_mistake_is_listed_at_once_where_it_was_made(tmp_path: Path):
    text = changed("rate_hz = 2", "rate_hz = 2000").replace("rate_hz = 4", "ratehz = 4")
    text = text.replace('site = "lab"', 'site = "The Lab"').replace("DE", "Germany")
    found = problems(tmp_path, text + "\n[speed]\nx = 1\n")
    assert len(found) == 5
    assert "speed: unknown key; leave it out" in found
    assert any(line.startswith("site: expected a name") for line in found)
    assert any(line.startswith("wifi.country: expected text of the form") for line in found)
    assert any(line.startswith("agent.detect.rate_hz: expected a number less") for line in found)
    assert f"{NORTH}.ratehz: unknown key; did you mean {NORTH}.rate_hz?" in found


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('target = "pi-bookworm"', 'target = "pi-4"', "target: expected one of 'pi-bookworm'"),
        ("[agent.detect]", "[agent.detct]", "agent.detct: unknown key"),
        ("[agent.detect]", '[agent.outbox]\npath = "x"\n[agent.detect]', "agent.outbox.path: lies"),
        ("[agent.mqtt]", '[agent.mqtt]\nca_file = "x"', "agent.mqtt.ca_file: set files.ca_file"),
        ('site = "lab"', 'site = "lab"\nagent.gallery = "x.db"', "agent.gallery: lies in"),
        ("detect = { rate_hz = 4 }", 'models = { embedding = "x" }', "set it in [agent.models]"),
        ('gallery_public_key = "keys/gallery-signing.pub"', "", "gallery_public_key: is missing"),
        (
            "[devices.gate-1.cameras.gate]",
            "[devices.gate-1.cameras.north]",
            "camera north is there 2",
        ),
        ('hostname = "camera-17"', 'hostname = "yard-1"', "hostname yard-1 is there 2 times"),
        ('hostname = "camera-17"', 'hostname = "gate_1"', "should be a host name"),
        ('key_file = "pki/clients/gate-1.key"', "", "key_file: should come together"),
        ('gateway = "192.0.2.1"', 'gateway = "192.0.3.1"', "should be within 192.0.2.0/24"),
        ('address = "192.0.2.17/24"', "", "dns: should come with address"),
        ('address = "192.0.2.17/24"', 'address = "192.0.2.17"', "should have a prefix"),
        ('timezone = "Europe/Berlin"', 'timezone = "Europe/Bln"', "should be a time zone"),
        ("ssh-ed25519 AAAA", "-----BEGIN", "should be a public key in one line"),
        ('source = { uri = "rtsp://gate/stream" }', "", "cameras.gate.source: is missing"),
        (
            'target = "pi-trixie"',
            'target = "pi-trixie"\ncolour = 1',
            "devices.gate-1.colour: unknown",
        ),
        (f'ssid = "{WIFI}"', 'ssid = ""', "should be 1 to 32 bytes"),
        ('"mqtts://broker.lab.example:8883"', '"https://x"', "agent.mqtt.url: should look like"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, old: str, new: str, complaint: str):
    found = problems(tmp_path, changed(old, new))
    assert any(complaint in line for line in found), found
    assert len(found) <= 2


def test_several_agents_cannot_share_one_certificate(tmp_path: Path):
    text = SITE.replace("[devices.yard-1]", '[devices.yard-1]\nagents = "per-camera"')
    (found,) = problems(tmp_path, text)
    assert found.startswith("devices.yard-1.cert_file: has several agents")


def test_no_kind_of_mistake_hides_another(tmp_path: Path):
    text = changed('[rollout]\ngroups = ["canary"]\n', "").replace("[devices", "[boxes")
    text = text.replace("rate_hz = 4", "ratehz = 4").replace('"gate-1.key"', '"x.key"')
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.crt").write_text("there")
    with pytest.raises(ConfigError) as caught:
        load_site(write_site(tmp_path, text), needs_files_of="gate-1")
    found = list(caught.value.problems)
    assert f"{NORTH}.ratehz: unknown key; did you mean {NORTH}.rate_hz?" in found
    assert any(line.startswith("boxes: is called devices now") for line in found)
    assert any(line.startswith("devices.gate-1.group: expected [rollout]") for line in found)
    missing = [line.partition(":")[0] for line in found if "cannot be read" in line]
    assert missing == [
        "files.gallery_public_key",
        "files.release_public_key",
        "devices.gate-1.cert_file",
        "devices.gate-1.key_file",
    ]


def test_a_device_that_is_not_there_is_said_with_those_that_are(tmp_path: Path):
    with pytest.raises(UsageError, match="device door-1: expected one of gate-1, yard-1"):
        load_site(write_site(tmp_path)).device("door-1")


def test_a_file_that_is_no_toml_is_said(tmp_path: Path):
    assert problems(tmp_path, "site = = 1")[0].startswith("is not TOML")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_wifi_password_and_a_sites_file_may_begin_with_a_byte_order_mark(
    tmp_path: Path, encoding: str
):
    path = write_site(tmp_path)
    path.write_bytes(path.read_text().encode(encoding))
    (tmp_path / "wifi.password").write_bytes("correct horse\r\n".encode(encoding))
    assert load_site(path).site == "lab"
    assert _first_line(tmp_path / "wifi.password") == "correct horse"
