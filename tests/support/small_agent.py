"""A program with the words of edge-reid that an installer uses. `BEHAVIOUR` is filled in.

well: it is; doubtful: so is it, but doctor warns; sick: doctor says no; dies: starts and ends;
mute: starts and never gets ready.
"""

import os
import pathlib
import socket
import sys
import time

VERSION, BEHAVIOUR = "{version}", "{behaviour}"


def main():
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"edge-reid {VERSION}")
    elif words[0] == "doctor":
        doctor(words[words.index("--config") + 1])
    elif words[0] == "run":
        run()


def doctor(config):
    text = pathlib.Path(config).read_text()
    if BEHAVIOUR == "sick" or f"# for {VERSION}\n" not in text:
        print(" ✗ embedding model  checksum differs\n     → copy it again\n1 to mend")
        sys.exit(1)
    if BEHAVIOUR == "doubtful":
        print(" ! gallery          of another model\n     → enrol anew\nall well")


def run():
    if BEHAVIOUR == "dies":
        sys.exit("a wheel for another processor")
    speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd = os.environ["NOTIFY_SOCKET"].replace("@", "\0")
    while True:
        if BEHAVIOUR in {"well", "doubtful"}:
            speaker.sendto(b"READY=1\nWATCHDOG=1\nSTATUS=watching", systemd)
        time.sleep(0.05)
