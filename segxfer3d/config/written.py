"""Values as they were written: what a parser makes a number of may have been meant as a text.

``2024_11_28`` is a number to the shell's parser and to YAML, and ``1.10`` is to JSON too; where an option is a text,
its user meant what stands there. To YAML's parser ``1e-3`` is a text, and where an option is a number it is one.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config.options import OptionInfo
from segxfer3d.config.values import is_expression, split_type

_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


def written_texts(files: Sequence[str | os.PathLike[str]]) -> dict[str, str]:
    """The values at the top of configs that their parser changed, as they stand there; later files win.

    Args:
        files: JSON or YAML, that can be read.
    """
    texts: dict[str, str | None] = {}
    for file in files:
        text = Path(file).read_text(encoding="utf-8")
        if str(file).lower().endswith("json"):
            loaded, plain = json.loads(text), json.loads(text, parse_float=str, parse_int=str)
        else:
            import yaml

            loaded, plain = yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)
            loaded = {
                name: float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
                for name, value in loaded.items()
            }
        for name, value in plain.items():
            changed = isinstance(value, str) and not isinstance(loaded[name], (str, bool, type(None)))
            texts[str(name)] = value if changed else None
    return {name: text for name, text in texts.items() if text is not None}


def as_typed(value: Any, text: str) -> Any:
    """A text option of the command line: ``value`` as the shell's parser made it, or ``text``, which was typed.

    A list, and True and False, stay what they are: no text is meant by them.
    """
    if is_expression(text) or isinstance(value, (bool, list, dict)):
        return value
    return _unquoted(text)


def as_meant(info: OptionInfo, value: Any, typed: Mapping[str, str], written: Mapping[str, str]) -> Any:
    """The value that an option was meant to have.

    Args:
        info: of the option.
        value: as it arrived.
        typed: what the command line says, by name.
        written: what :func:`written_texts` gives.
    """
    single, count, _ = split_type(info.type)
    if count:
        return value
    if single == "str":
        if info.name in typed:
            return as_typed(value, typed[info.name])
        changed = not isinstance(value, (str, bool, list, dict, type(None)))
        return written.get(info.name, value) if changed else value
    if single in ("int", "float") and isinstance(value, str) and value == written.get(info.name):
        return float(value)
    return value


def _unquoted(text: str) -> str:
    """``'1.10'``, typed with the quotes of Python, is meant without them."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            return text
        return value if isinstance(value, str) else text
    return text
