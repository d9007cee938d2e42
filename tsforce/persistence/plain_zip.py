"""Zip files whose members stand in them as they are: nothing to unpack, no names but those that are expected."""

from __future__ import annotations

import zipfile

from tsforce.errors import PersistenceError

__all__ = ["checked_members"]


def checked_members(file: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """Return the members of a zip file of `size` bytes, each there once, as it is, and not larger than the file.

    Raises
    ------
    PersistenceError
        If one is packed, encrypted, larger than the file together with the others, or has another's name.
    """
    members = file.infolist()
    if len({member.filename for member in members}) < len(members):
        raise PersistenceError("it holds two members of one name.")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise PersistenceError(f"its member {member.filename!r} is packed; saved models are not.")
        if member.flag_bits & 1:
            raise PersistenceError(f"its member {member.filename!r} is encrypted.")
    if sum(member.file_size for member in members) > size:
        raise PersistenceError("its members are said to be larger than the file.")
    return members
