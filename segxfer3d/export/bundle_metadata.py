"""``configs/metadata.json`` of a bundle, and the words beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.export.description import LICENSE_HINT
from segxfer3d.export.target import Work
from segxfer3d.version import __version__

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)  # fmt: skip
RELEASE = "0.1.0"  # of a bundle that is new
_MODALITIES = {"window": "CT", "foreground": "CT"}


def metadata(work: Work) -> dict[str, Any]:
    """What MONAI's bundles say of themselves; ``segxfer3d`` has the rest.

    Args:
        work: that is done.
    """
    model = work.model
    classes, softmax = list(model.classes.values()), model.inference.activation == "softmax"
    packages = {"nibabel": version("nibabel"), "pytorch-ignite": version("pytorch-ignite")}
    if model.inference.largest_component:
        packages["scikit-image"] = version("scikit-image")
    outputs = ["background", *classes]
    return {
        "schema": SCHEMA,
        "version": RELEASE,
        "changelog": {RELEASE: f"exported by segxfer3d {__version__}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": packages,
        "name": work.name,
        "task": f"Segmentation of {', '.join(classes)}",
        "description": "A network in TorchScript, with preprocessing and masks by MONAI's transforms",
        "authors": work.authors or "not said",
        "copyright": "not said; see LICENSE",
        "data_source": str(model.provenance.get("data", "not said")),
        "data_type": "NIfTI",
        "image_classes": _image_words(model.preprocessing),
        "label_classes": "label map: 0 is background, " + ", ".join(f"{v} {n}" for v, n in model.classes.items()),
        "pred_classes": f"a channel of logits for each of {', '.join(outputs)}; {model.inference.activation} gives "
        "probabilities" + ("" if softmax else ", of the background one just below 0.5, whatever the image"),
        "intended_use": "Research; not for diagnosis",
        "references": [],
        "network_data_format": _network_data_format(work, outputs),
        "segxfer3d": work.about,
    }


def _image_words(preprocessing: Any) -> str:
    scales = preprocessing.scales
    rules = ", ".join(dict.fromkeys(scale.intensity for scale in scales))
    return f"{len(scales)} channel{'s' if len(scales) > 1 else ''}, intensities scaled by {rules}"


def _network_data_format(work: Work, outputs: list[str]) -> dict[str, Any]:
    model = work.model
    preprocessing = model.preprocessing
    assert isinstance(preprocessing, VolumePreprocessing)
    rule = preprocessing.scales[0].intensity
    names = preprocessing.channel_names or [f"channel {number}" for number in range(1, preprocessing.channels + 1)]
    if preprocessing.channels == 1 and not preprocessing.channel_names:
        names = ["image"]
    patch, common = list(model.patch_size), {"type": "image", "dtype": "float32"}
    mask = {"0": "background", **{str(value): name for value, name in model.classes.items()}}
    return {
        "inputs": {
            "image": {
                **common,
                "format": "hounsfield" if rule in _MODALITIES else "magnitude",
                "modality": _MODALITIES.get(rule, "n/a"),
                "num_channels": preprocessing.channels,
                "spatial_shape": patch,
                "value_range": [0, 1] if rule in ("window", "percentile") else [],
                "is_patch_data": True,
                "channel_def": _numbered(names),
            }
        },
        "outputs": {
            "pred": {
                **common,
                "format": "classes",
                "num_channels": len(outputs),
                "spatial_shape": patch,
                "value_range": [],
                "is_patch_data": True,
                "channel_def": _numbered(outputs),
            }
        },
        "post_processed_outputs": {
            "mask": {
                "type": "image",
                "format": "segmentation",
                "num_channels": 1,
                "spatial_shape": ["*", "*", "*"],
                "dtype": "uint8" if max(model.classes) < 256 else "uint16",
                "value_range": [0, max(model.classes)],
                "is_patch_data": False,
                "channel_def": mask,
            }
        },
    }


def _numbered(names: Any) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


def readme(work: Work, checked: str) -> str:
    """``docs/README.md``.

    Args:
        work: that is done.
        checked: how it was compared with torch, in words.
    """
    about, model = work.about, work.model
    return f"""# {work.name}

Segments {", ".join(model.classes.values())} in volumes. Exported by segxfer3d {__version__}, which is not needed to run
it: MONAI, nibabel, pytorch-ignite and fire are{_also(model.inference.as_dict())}.

## Run

In this folder, with volumes (`.nii`, `.nii.gz`) in the folder `input`; masks go to `eval`:

```bash
python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json \\
    --dataset_dir input --output_dir eval
```

## What it is

- Network: {about["network"]["name"]} in TorchScript, `models/model.ts`; `models/model.pt` are its weights alone.
- Windows of {" x ".join(map(str, model.patch_size))} voxels, which overlap by a quarter; float32.
- {about["mask"]}.
- Preprocessing, classes and where the weights are from: `segxfer3d` in `configs/metadata.json`.
- {checked}.

## License

{LICENSE_HINT}
"""


def _also(inference: Mapping[str, Any]) -> str:
    return ", and scikit-image, for the largest component" if inference["largest_component"] else ""


def license_text() -> str:
    """``LICENSE`` where none is given."""
    return (
        "No license has been said for these weights; segxfer3d export --license FILE puts one here.\n\n"
        f"{LICENSE_HINT}\n"
    )
