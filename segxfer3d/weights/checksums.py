"""The checksums that torch writes into its files, and does not compare when it reads them."""

from __future__ import annotations

import zipfile
from pathlib import Path

from segxfer3d.errors import InputError


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
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"checkpoint {path}: damaged ({error})") from error
    if changed is not None:
        part = changed.partition("/")[2] or changed
        raise InputError(f"checkpoint {path}: damaged (its part {part} is not what was written: another checksum)")
