"""A real web server over TLS, that serves a folder."""

from __future__ import annotations

import functools
import http.server
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

from support.requirements import absent


def self_signed(work: Path) -> tuple[Path, Path]:
    """Certificate and key of a server at 127.0.0.1, made in a folder."""
    if shutil.which("openssl") is None:
        absent("openssl")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", "web.key"]
    new += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", "web.pem"]
    subprocess.run(new, cwd=work, check=True, capture_output=True)
    return work / "web.pem", work / "web.key"


class Silent(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and knows no ranges."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Silent."""


class WebServer:
    """At `url` from `with` on; its certificate signs itself and lies in `ca_file`."""

    def __init__(
        self,
        folder: Path,
        work: Path,
        handler: type[http.server.SimpleHTTPRequestHandler] = Silent,
    ) -> None:
        self.ca_file, key_file = self_signed(work)
        serving = functools.partial(handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> WebServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
