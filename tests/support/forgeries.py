"""Bundles that an attacker makes from a signed one, having no key."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import zstandard
from support import small_bundles as bundles

EVIL = b"print('the attacker is root')\n"
EVIL_MEMBERS = {"edge-reid-bundle/install/install.py": EVIL, "edge-reid-bundle/install/os.py": EVIL}
_RECORD_BYTES = 20 * 512


def tar_of(bundle: Path) -> bytes:
    """The plain tar in a bundle."""
    return zstandard.ZstdDecompressor().decompress(bundle.read_bytes(), max_output_size=1 << 26)


def with_tar(bundle: Path, tar: bytes) -> Path:
    """The bundle, with another tar in it."""
    bundle.write_bytes(zstandard.compress(tar))
    return bundle


def ended(tar: bytes) -> bytes:
    """With an end behind it, as every tar has."""
    return tar + bytes(1024 + -(len(tar) + 1024) % _RECORD_BYTES)


def evil_members() -> bytes:
    """The attacker's own files, as members of a tar, without its end."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in EVIL_MEMBERS.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        return body.getvalue()[: tar.offset]


def read_differently(tar: bytes) -> bytes:
    """Python's tarfile finds the signed members in it, GNU tar finds the attacker's as well.

    The first file is sparse by its pax headers. Python goes on behind its `realsize`, GNU tar
    behind its `size`, which covers all that is signed, and the end.
    """
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        first = members.next()
        assert first is not None
        rest = tar[first.offset_data + len(first_block := _content(tar, first)) :]
    signed = first_block + rest
    sparse_map = f"1\n0\n{first.size}\n".encode().ljust(512, b"\0")
    size = len(sparse_map) + len(signed)
    first.pax_headers = {
        "size": str(size),
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": first.name,
        "GNU.sparse.realsize": str(first.size),
    }
    header = first.tobuf(tarfile.PAX_FORMAT)
    return ended(header + sparse_map + signed + evil_members())


def _content(tar: bytes, member: tarfile.TarInfo) -> bytes:
    """With its last block filled up."""
    return tar[member.offset_data : member.offset_data + -(-member.size // 512) * 512]


def files_below(folder: Path) -> dict[str, bytes]:
    """All that lies there and is no folder; what is no plain file says so."""
    return {
        str(it.relative_to(folder)): it.read_bytes()
        if it.is_file() and not it.is_symlink()
        else b"?"
        for it in folder.rglob("*")
        if it.is_symlink() or not it.is_dir()
    }


def unpacked_by_tar(tar: bytes, folder: Path) -> dict[str, bytes]:
    """What GNU tar, as setup.sh calls it, makes of a tar."""
    folder.mkdir(parents=True)
    subprocess.run(
        ["tar", "-xf", "-", "-C", folder], input=tar, capture_output=True, check=False, timeout=60
    )
    return files_below(folder)


def signed_files(bundle: Path) -> dict[str, bytes]:
    """What a bundle that nobody has touched unpacks to."""
    return {header.name: body for header, body in bundles.members(bundle)}


def headers_of(tar: bytes) -> list[int]:
    """Where the headers of a tar of plain files begin."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as members:
        return [it.offset for it in members]


def patched(tar: bytes, at: int, patch: bytes) -> bytes:
    """Other bytes in a header, whose checksum is right again."""
    start = at - at % 512
    block = bytearray(tar[start : start + 512])
    block[at % 512 : at % 512 + len(patch)] = patch[: 512 - at % 512]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return tar[:start] + bytes(block) + tar[start + 512 :]


def member(name: str, kind: bytes, content: bytes, pax: dict[str, str]) -> bytes:
    """A member of any kind, such as tarfile would never write."""
    header = tarfile.TarInfo(name)
    header.size, header.pax_headers = len(content), pax
    block = header.tobuf(tarfile.PAX_FORMAT)
    body = content + bytes(-len(content) % 512)
    return patched(block, len(block) - 512 + 156, kind) + body
