"""Files of a broker's login that come through pipes are there as often as they are read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_reid.cli.main import main
from edge_reid.cli.piped_config import MOST_BYTES
from edge_reid.cli.piped_login import keep_piped_login
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.core.errors import ConfigError

PROGRAM = """
import os, sys
from pathlib import Path
from edge_reid.cli.piped_login import keep_piped_login
from edge_reid.core.config.broker_settings import MqttSettings
from edge_reid.mqtt.broker import Broker
file = Path(sys.argv[1])
settings = MqttSettings(url="mqtt://127.0.0.1", username="gate", password_file=file)
keep_piped_login(settings)
for _ in range(2):
    print(Broker.from_settings(settings).password, flush=True)
if sys.argv[2:] == ["first"]:
    os.execv(sys.executable, sys.orig_argv[:-1])
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe is refused")


@linux
@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_also_by_the_program_that_takes_the_place_of_this_one(name: str) -> None:
    words = [sys.executable, "-c", PROGRAM, name, "first"]
    done = subprocess.run(words, input="secret\n", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["secret"] * 4


@linux
def test_one_that_is_too_large_is_refused() -> None:
    reading, writing = os.pipe()
    words = [sys.executable, "-c", f"print('x' * {MOST_BYTES})"]
    with subprocess.Popen(words, stdout=writing):
        os.close(writing)
        settings = MqttSettings(ca_file=Path(f"/dev/fd/{reading}"))
        with pytest.raises(ConfigError, match="ca_file: expected at most 65536 bytes"):
            keep_piped_login(settings)
        os.close(reading)


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    keep_piped_login(MqttSettings(password_file=file, ca_file=tmp_path / "nothing.pem"))
    assert file.read_text() == "secret"


def test_a_run_refuses_a_named_pipe_which_would_have_to_be_written_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "password"
    os.mkfifo(pipe)
    words = {
        "--source": "0",
        "--site": "lab",
        "--camera": "gate",
        "--gallery": tmp_path / "gallery.db",
        "--broker": "mqtt://127.0.0.1",
        "--username": "gate",
        "--password-file": pipe,
    }
    with pytest.raises(SystemExit, match="2"):
        main(["run", *(str(word) for pair in words.items() for word in pair)])
    told = capsys.readouterr().err
    assert "--password-file: expected a file, as it is read again, got a named pipe" in told
