"""Every file of losses: named after what it holds, documented, and tested in a file of the same name."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from segxfer3d import losses

NAMES = [module.name for module in pkgutil.iter_modules(losses.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_its_test_and_documents_what_it_holds(name):
    # a function may have its file's name, and then hides it in the package
    module = importlib.import_module(f"segxfer3d.losses.{name}")
    if not inspect.ismodule(module):
        module = inspect.getmodule(module)
    tests = {"contrast": "test_nt_xent.py"}.get(name, f"test_{name}.py")
    assert (Path(__file__).parent / tests).is_file()
    public = [
        value
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    assert public
    assert all(inspect.getdoc(value) for value in public)


def test_what_the_package_hands_on_is_what_it_names():
    for name in losses.__all__:
        assert callable(getattr(losses, name)), name
