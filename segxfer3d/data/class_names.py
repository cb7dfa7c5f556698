"""Names of classes: no two classes of one name, and the same order in a model as in the data that it is used on."""

from __future__ import annotations

from collections.abc import Mapping

from segxfer3d.errors import InputError, some
from segxfer3d.spelling import one_form


def refuse_one_name(classes: Mapping[int, str], place: object) -> None:
    """Classes that nothing tells apart in a table.

    Args:
        classes: label value to name.
        place: of the data set, for the message.

    Raises:
        InputError: several have one name, in any spelling of it in large and small letters.
    """
    values: dict[str, list[int]] = {}
    for value, name in classes.items():
        values.setdefault(_plain(name), []).append(value)
    twice = {name: which for name, which in values.items() if len(which) > 1}
    if twice:
        listed = some((f"{' and '.join(map(str, which))} have one name, {name}" for name, which in twice.items()), 5)
        pairs = ",".join(f"{value}:{first}" for first, *rest in twice.values() for value in rest)
        raise InputError(
            f"{place}: the classes {listed}; expected another for each, or --label_map {pairs} to make them one"
        )


def refuse_other_order(
    data: Mapping[int, str], model: Mapping[int, str], *, place: object, checkpoint: object, way_on: str = ""
) -> str:
    """Classes that a model knows by the same names, but by other label values.

    Args:
        data: label value to name, of the data set.
        model: the same of the model.
        place: of the data set, for the message.
        checkpoint: of the model, for the message.
        way_on: what a user can do; by default the ``label_map`` that reads labels in the model's order.

    Returns:
        what a user should hear where names differ and nothing says that they mean something else; empty where they are
        the same.

    Raises:
        InputError: a class of the data has its name at another value in the model.
    """
    known = {_plain(name): value for value, name in model.items()}
    moved = {value: known[_plain(name)] for value, name in data.items() if known.get(_plain(name), value) != value}
    if moved:
        listed = some([f"{data[value]} is {value}, the model's is {to}" for value, to in moved.items()], 3)
        pairs = ",".join(f"{value}:{to}" for value, to in moved.items())
        raise InputError(
            f"{place}: classes in another order than checkpoint {checkpoint} knows them: {listed}; "
            + (way_on or f"--label_map {pairs} reads the labels in the model's order")
        )
    others = [
        f"{value} {name} (the model's: {model[value]})"
        for value, name in data.items()
        if value in model and _plain(name) != _plain(model[value])
    ]
    return f"classes have other names than the model's: {some(others, 3, ', ')}" if others else ""


def _plain(name: str) -> str:
    """A name as it is compared."""
    return " ".join(one_form(name).split()).casefold()
