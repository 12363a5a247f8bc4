"""The files of a tile log elsewhere: below a URL, or in a folder. None of them is believed.

Paths are made here from numbers, never taken from what was read. Everything has a size limit.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from touchplate.clients.answer import check_status
from touchplate.errors import MalformedError, SettingsError
from touchplate.transport.http import Transport, check_url

_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR)


class FolderFiles(NamedTuple):
    """Files in a folder. Links and whatever is no plain file are refused."""

    folder: Path

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """Give a file, or None if there is none. Raises FILE_UNREADABLE, LIMIT_EXCEEDED."""
        file = self.folder / path
        try:
            # A pipe in the place of a file must not hold us up.
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as opened:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SettingsError("FILE_UNREADABLE", f"{file} is not a plain file")
                data = opened.read(max_bytes + 1)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            reason = "is a link" if error.errno == errno.ELOOP else error.strerror
            raise SettingsError("FILE_UNREADABLE", f"{file}: {reason}") from error
        if len(data) > max_bytes:
            raise MalformedError(
                "LIMIT_EXCEEDED", f"{file} is too large", expected=f"at most {max_bytes} bytes"
            )
        return data


class HttpFiles(NamedTuple):
    """Files below a URL."""

    url: str
    transport: Transport

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """Give a file, or None if the answer is 404.

        Raises SERVICE_REFUSED, SERVICE_UNAVAILABLE, LIMIT_EXCEEDED, RESPONSE_MALFORMED.
        """
        url = f"{self.url}/{path}"
        response = self.transport.request("GET", url, max_bytes=max_bytes)
        if response.status == 404:
            return None
        check_status(response, url)
        return response.body


def http_files(url: str, transport: Transport, *, allow_http: bool = False) -> HttpFiles:
    """Give the files below a URL that may be fetched from (SETTINGS_INVALID)."""
    parts = check_url(url, allow_http=allow_http)
    if parts.query:
        raise SettingsError("SETTINGS_INVALID", "the URL of a tile log has a query", found=url)
    return HttpFiles(url.rstrip("/"), transport)
