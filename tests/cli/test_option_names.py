"""A mistake in what was typed names the option that has it, whatever the verb."""

from __future__ import annotations

import socket

import cv2
import numpy as np
import pytest

WHERE = "error: command line: 1 mistake: "


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("search", "a.png", "--archive", "a", "--target-fpir", "7"), "a number less than 1"),
        (("probe", "a.png", "--target-fpir", "7"), "a number less than 1"),
        (("gallery", "doctor", "--target-fpir", "-1"), "a number greater than 0"),
        (("embed", "crops", "--out", "e.npz", "--threads", "0"), "a number greater than or equal"),
        (("bench", "a.mp4", "--threads", "0"), "a number greater than or equal"),
        (("embed", "crops", "--out", "e.npz", "--runtime", "lite"), "one of 'auto', 'litert' or"),
        (("doctor", "--camera", "1234567890"), "should be the index of a camera"),
        (("doctor", "--source", "1234567890"), "should be the index of a camera"),
        (("sink", "--to", "-", "--from", "mqtt://a"), "should look like nats://host:4222"),
        (("sink", "--to", "-", "--broker", "nats://a"), "should look like mqtt://host:1883"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_a_mistake_names_the_option(edge_reid, words, complaint, tmp_path, monkeypatch):
    """Before anything is opened that the other words name: nothing of it is there."""
    monkeypatch.chdir(tmp_path)
    outcome = edge_reid(*words)
    assert outcome.code == 2
    said = outcome.complaint.removeprefix(f"{WHERE}{words[-2]}: ")
    assert said.removeprefix("expected ").startswith(complaint)


def test_the_login_of_a_cluster_is_told_of_by_its_options(edge_reid):
    outcome = edge_reid("sink", "--to", "-", "--from", "nats://me:secret@a")
    assert outcome.complaint == (
        f"{WHERE}--from: should hold no login, got 'nats://a'; set --username and --password-file"
    )


@pytest.mark.parametrize(
    "words",
    [("watch",), ("sink", "--to", "-"), ("sink", "--to", "-", "--from", "nats://127.0.0.1")],
)
def test_a_password_of_nobody_asks_for_the_option_of_a_name(edge_reid, words, tmp_path):
    (tmp_path / "password").write_text("secret\n")
    outcome = edge_reid(*words, "--password-file", tmp_path / "password")
    assert outcome.complaint == (f"{WHERE}--password-file: is of no use without --username; set it")


RUN = ("run", "--source", "a.mp4", "--gallery", "a.db", "--site", "lab", "--camera", "gate")


def test_a_key_without_an_option_is_one_of_a_file(edge_reid, tmp_path):
    """Whoever typed no `--config` has no place for it yet."""
    words = (*RUN, "--web", "0.0.0.0:8000")
    config = tmp_path / "agent.toml"
    config.write_text("")
    lacking = {
        "token_file": "is missing, or a table [web.users.NAME]; others may reach the page",
        "cert_file": "is missing; other hosts reach the page, so set cert_file and key_file, or "
        "behind_proxy where a proxy speaks TLS",
    }
    heading, *mistakes = edge_reid(*words).err.splitlines()
    assert heading == "error: command line: 2 mistakes"
    assert mistakes == [
        f"  - web.{key} of a file in --config: {what}" for key, what in lacking.items()
    ]
    heading, *mistakes = edge_reid(*words, "--config", config).err.splitlines()
    assert heading == f"error: {config}: 2 mistakes"
    assert mistakes == [f"  - web.{key}: {what}" for key, what in lacking.items()]


@pytest.mark.parametrize(
    ("words", "named", "where"),
    [
        (("--web", "127.0.0.1:{port}"), "--web", "command line"),
        (("--config", "agent.toml"), "listen", "web"),
    ],
)
def test_an_address_that_is_taken_is_told_of_by_what_gave_it(
    edge_reid, words, named, where, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), np.full((48, 64, 3), 128, np.uint8))
    assert edge_reid("gallery", "init", "a.db").code == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "agent.toml").write_text(f'[web]\nlisten = "127.0.0.1:{port}"\n')
        typed = [word.format(port=port) for word in words]
        outcome = edge_reid(*RUN, *typed, "--source", "pictures")
    assert outcome.code == 2
    assert outcome.complaint == (
        f"error: {where}: 1 mistake: {named}: expected an address of this device with a free port, "
        f"got 127.0.0.1:{port}: Address already in use; give another"
    )
