"""Tables of scores that a spreadsheet has saved, as the plain CSV that they were."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import re

from segxfer3d.errors import InputError

_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # of columns, in the order in which they are tried
_SHARES = ("dice", "iou")  # columns of numbers from 0 to 1


def decoded(content: bytes) -> str:
    """The text of a table or a JSON file of a user: UTF-8, with or without a byte order mark, or UTF-16 with one, as
    Excel's "Unicode Text" and PowerShell's ``>`` write it.

    Args:
        content: of the file.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf_16 else "utf-8-sig")


def plain_csv(text: str) -> str:
    """The text of a CSV file without a byte order mark, with commas between columns and points in numbers.

    Excel's "CSV UTF-8" begins with that mark; where decimals have a comma, it separates columns by semicolons. What it
    saves as text has tabs.

    Args:
        text: of the file, decoded.

    Raises:
        InputError: semicolons or tabs, and a dice or IoU that is not from 0 to 1: the program took points for something
            else.

    Example:
        >>> plain_csv("case;dice\\na;0,5\\n")
        'case,dice\\na,0.5\\n'
    """
    text = text.removeprefix("\ufeff")
    header = text.partition("\n")[0]
    separator = next((mark for mark in SEPARATORS if mark in header), ",")
    if separator == ",":
        return text
    names, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    plain = [[cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in row] for row in rows]
    for row in plain:
        for name, cell in zip(names, row, strict=False):
            if name in _SHARES and not _is_share(cell):
                marks = SEPARATORS[separator]
                raise InputError(f"{name} {cell!r} in a table with {marks}, as Excel saves it: expected 0 to 1")
    result = io.StringIO(newline="")
    csv.writer(result, lineterminator="\n").writerows([names, *plain])
    return result.getvalue()


def _is_share(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False


def scores_hash(text: str) -> str:
    """SHA-256 of what a ``cases.csv`` says: its cells, numbers to six digits, so that a spreadsheet that saved the same
    table again has changed nothing.

    Args:
        text: of the file, with commas between columns.
    """

    def cell(value: str) -> str:
        try:
            return f"{float(value):.6g}"
        except ValueError:
            return value

    rows = [[cell(value) for value in row] for row in csv.reader(io.StringIO(text, newline="")) if row]
    return hashlib.sha256(json.dumps(rows).encode("utf-8")).hexdigest()
