"""Whether a session that an outbox has noted may still be somebody's."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from edge_reid.delivery.instance import Instance, former_instance, noted

PRINT = "from edge_reid.delivery.instance import Instance; print(Instance.ours().mark)"


def of_a_process_that_ended() -> Instance:
    done = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True)
    instance = Instance.of_mark(done.stdout.strip())
    assert instance is not None
    return instance


def test_a_process_of_this_machine_that_ended_leaves_its_session_to_the_next():
    assert former_instance(noted("cafe", of_a_process_that_ended())) == "cafe"


def test_a_process_that_runs_keeps_its_session():
    assert former_instance(noted("cafe", Instance.ours())) == ""


def test_all_processes_ended_with_the_boot_they_were_of():
    assert former_instance(noted("cafe", replace(Instance.ours(), boot="0-0"))) == "cafe"


def test_what_another_machine_does_nobody_can_tell():
    assert former_instance(noted("cafe", replace(of_a_process_that_ended(), machine="0"))) == ""


@pytest.mark.parametrize("note", ["cafe", "cafe ", "cafe not-a-mark"])
def test_the_note_of_an_older_edge_reid_is_taken_at_its_word(note: str):
    assert former_instance(note) == "cafe"


def test_a_process_id_that_is_in_use_again_is_another_process():
    ours = Instance.ours()
    pid = ours.process.partition("-")[0]
    assert former_instance(noted("cafe", replace(ours, process=f"{pid}-1"))) == "cafe"
