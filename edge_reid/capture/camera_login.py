"""The login of a camera, from a file that only the agent may read."""

from __future__ import annotations

from urllib.parse import quote

from edge_reid.core.config.source_settings import SourceSettings
from edge_reid.core.errors import SourceError
from edge_reid.core.text_file import read_text_file


def address_with_login(settings: SourceSettings) -> str:
    """The `uri`, with the login of `login_file` in it, if there is one.

    Raises:
        SourceError: the file cannot be read, or holds no login.
    """
    if settings.login_file is None:
        return settings.uri
    try:
        first, *_ = [*read_text_file(settings.login_file).splitlines(), ""]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SourceError(
            f"source.login_file {settings.login_file}: cannot be read ({reason}); expected a file"
            " whose first line is USER:PASSWORD"
        ) from error
    user, colon, password = first.strip().partition(":")
    if not (user and colon):
        raise SourceError(
            f"source.login_file {settings.login_file}: expected USER:PASSWORD in its first line,"
            " got something else; write it as it is, without quoting"
        )
    scheme, _, rest = settings.uri.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"
