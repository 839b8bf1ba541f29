"""What an agent says of a stranger, right or with some of it changed, signed by whom you like."""

from __future__ import annotations

import json
import time

from support.decided_tracks import MODEL_ID

from edge_reid.signing.certified_envelope import CertifiedKey
from edge_reid.wire.events import rfc3339


def signed_stranger(key: CertifiedKey, agent: str, name: str, /, **claims: object) -> bytes:
    """Somebody of 64 numbers, seen ten seconds ago, kept for ten minutes."""
    now_s = time.time()
    content = {
        "schema": "edge-reid.stranger/1",
        "site": "lab",
        "agent": agent,
        "stranger": name,
        "formerly": [],
        "edition": 5,
        "model_id": MODEL_ID,
        "vector": "f" + 84 * "A" + "A==",
        "camera": "door",
        "first_seen": rfc3339(now_s - 20),
        "last_seen": rfc3339(now_s - 10),
        "expires_at": rfc3339(now_s + 600),
        "at": rfc3339(now_s - 1),
        **claims,
    }
    return key.sign(json.dumps(content).encode())
