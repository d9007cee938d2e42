"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["written_whole"]


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write, which takes the place of `path` once all of it is on the disk.

    Whatever happens in between, a power cut included, `path` is the old file or the new one. Only a process that is
    killed leaves its unfinished file behind, beside `path`: ``.<name>.<8 letters>.unfinished``.

    Parameters
    ----------
    path : path-like
        Where it is a link, what it leads to is replaced.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with written_whole(folder / "note") as file:
    ...     _ = file.write(b"all of it")
    >>> [found.name for found in folder.iterdir()]
    ['note']
    """
    whole = Path(os.path.realpath(path))
    unfinished = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with open(unfinished, "xb+") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, whole)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    # The new name is on the disk only when its folder is; Windows has no such thing to ask for.
    if os.name == "posix":
        folder = os.open(whole.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
