"""The pretexts of the folder, for the tests that ask something of every one."""

import importlib
import inspect
import pkgutil

from segxfer3d import pretexts
from segxfer3d.config.bundles import compose
from tests.pretexts.stand_ins import corruption, network, views

# name of the file -> the module
MODULES = {
    entry.name: importlib.import_module(f"segxfer3d.pretexts.{entry.name}")
    for entry in pkgutil.iter_modules(pretexts.__path__)
}
# name of the file -> its recipe; base.py, momentum.py and shared.py have none
RECIPES = {name: module.RECIPE for name, module in MODULES.items() if hasattr(module, "RECIPE")}
# what an entry of a bundle is in tests
STAND_INS = {
    "@views": views,
    "@corruption": corruption,
    "@augment": dict,
    "@whole_view": views,
    "$@data.classes": 2,
    "$@max_epochs * @steps_per_epoch": 4,
}
# arguments that are smaller than a bundle's; Models Genesis' loader corrupts, here the pretext does
SMALL = {"hidden": 8, "out_channels": 4, "queue_size": 8, "corruption": corruption}


def pretext_class(name):
    """The class that a pretext's bundle trains."""
    path, _, attribute = RECIPES[name].differs["pretext"]["_target_"].rpartition(".")
    return getattr(importlib.import_module(path), attribute)


def tiny_pretext(name, spatial_dims, channels, network_name="conrec_unet"):
    """A pretext as its bundle composes it, on a tiny network, with the views and the corruption of the tests."""
    bundle = compose(RECIPES[name])
    values = {
        **{f"@{key}": value for key, value in bundle.items() if isinstance(value, (int, float, str))},
        **STAND_INS,
    }
    out_channels = bundle["network_def"].get("out_channels")
    out_channels = 1 if out_channels in (1, "$@data.masks") else channels
    values["@network_def"] = network(spatial_dims, channels, out_channels=out_channels, name=network_name)
    taken = inspect.signature(pretext_class(name)).parameters
    arguments = {key: value for key, value in SMALL.items() if key in taken}
    for key, value in bundle["pretext"].items():
        if key != "_target_" and key not in arguments:
            arguments[key] = values[value] if isinstance(value, str) else value
    return pretext_class(name)(**arguments)
