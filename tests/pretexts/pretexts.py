"""The pretexts of the folder, for the tests that ask something of every one."""

import importlib
import pkgutil

from segxfer3d import pretexts

# name of the file -> the module
MODULES = {
    entry.name: importlib.import_module(f"segxfer3d.pretexts.{entry.name}")
    for entry in pkgutil.iter_modules(pretexts.__path__)
}
# name of the file -> its recipe; base.py, momentum.py and shared.py have none
RECIPES = {name: module.RECIPE for name, module in MODULES.items() if hasattr(module, "RECIPE")}
