"""What torch does not look at when it reads its files: their checksums, and that nothing in them is packed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from segxfer3d.errors import InputError

# what zipfile ends in
_DAMAGED = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError)  # NotImplementedError is a RuntimeError


def refuse_changed(path: Path) -> None:
    """Refuse a file of torch with a part that is not what was written: a flipped bit is another weight.

    Args:
        path: of a file in torch's format of today, a zip archive without compression. Others have no checksums.

    Raises:
        InputError: a part has another checksum than was written beside it.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
    except _DAMAGED as error:
        raise InputError(f"checkpoint {path}: damaged ({error})") from error
    if changed is not None:
        part = changed.partition("/")[2] or changed
        raise InputError(f"checkpoint {path}: damaged (its part {part} is not what was written: another checksum)")


def refuse_packed(path: Path) -> None:
    """Refuse an archive that is compressed, which torch never writes: a small one could hold more than memory does.

    Raises:
        InputError: so it is, or the archive is damaged.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [part.filename for part in archive.infolist() if part.compress_type != zipfile.ZIP_STORED]
    except _DAMAGED as error:
        raise InputError(f"checkpoint {path}: not a checkpoint, or damaged ({error})") from error
    if packed:
        raise InputError(f"checkpoint {path}: damaged, or not of torch (its part {packed[0]} is compressed)")
