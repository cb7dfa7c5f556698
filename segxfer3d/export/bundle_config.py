"""``configs/inference.json`` of a bundle: this package's preprocessing and masks in MONAI's transforms alone."""

from __future__ import annotations

from typing import Any

from segxfer3d.data.preprocessing.intensities import PERCENTILES
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import ORIENTATION, VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.export.description import OVERLAP
from segxfer3d.inference.labels import MASK_THRESHOLD
from segxfer3d.inference.model import Model

Step = dict[str, Any]
_LARGEST_BYTE, _LARGEST_SHORT = 255, 65535


def inference_config(model: Model) -> dict[str, Any]:
    """The whole config.

    Args:
        model: of volumes.

    Raises:
        InputError: scales of channels that MONAI's transforms do not tell apart.
    """
    assert isinstance(model.preprocessing, VolumePreprocessing)
    return {
        "imports": ["$import glob", "$import monai", "$import numpy", "$import os", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "datalist": "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii')) + "
        "glob.glob(os.path.join(@dataset_dir, '*.nii.gz')))",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location='cpu')",
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing(model.preprocessing)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': file} for file in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(model.patch_size),
            "sw_batch_size": 2,
            "overlap": OVERLAP,
            "mode": "gaussian",
            "progress": False,  # which would need tqdm
        },
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing(model)},
        "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def preprocessing(chosen: VolumePreprocessing) -> list[Step]:
    """From a NIfTI to what the network sees."""
    steps: list[Step] = [
        _step("LoadImaged", "image", reader="NibabelReader", ensure_channel_first=True),
        _step("Orientationd", "image", axcodes=ORIENTATION, labels=None),
    ]
    if chosen.spacing:
        steps.append(_step("Spacingd", "image", pixdim=list(chosen.spacing), mode="bilinear", dtype="$numpy.float32"))
    return [*steps, *_intensity(chosen.scales), _step("EnsureTyped", "image")]


def _intensity(scales: tuple[Scale, ...]) -> list[Step]:
    """One rule for all channels, though each may have a mean and an SD of its own."""
    first = scales[0]
    rules = {(scale.intensity, scale.nonzero) for scale in scales}
    windowed = first.intensity in ("window", "foreground")
    if len(rules) > 1 or (windowed and len({scale.clip for scale in scales}) > 1):
        raise InputError(
            "--to bundle: channels that are scaled by different rules or windows, which MONAI's transforms do not tell "
            "apart; --to onnx, openvino or torchscript export the network alone"
        )
    low, high = first.clip
    if first.intensity == "window":
        return [_step("ScaleIntensityRanged", "image", a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True)]
    if first.intensity == "percentile":
        ends = {"lower": PERCENTILES[0], "upper": PERCENTILES[1], "b_min": 0.0, "b_max": 1.0}
        return [_step("ScaleIntensityRangePercentilesd", "image", **ends, clip=True, channel_wise=True)]
    if first.intensity == "zscore":
        return [_step("NormalizeIntensityd", "image", nonzero=first.nonzero, channel_wise=True)]
    return [
        _step("ThresholdIntensityd", "image", threshold=low, above=True, cval=low),
        _step("ThresholdIntensityd", "image", threshold=high, above=False, cval=high),
        _step(
            "NormalizeIntensityd",
            "image",
            subtrahend=[scale.mean for scale in scales],
            divisor=[scale.sd for scale in scales],
            channel_wise=True,
        ),
    ]


def postprocessing(model: Model) -> list[Step]:
    """From logits on the network's grid to a mask on the file's."""
    inference, values = model.inference, list(model.classes)
    softmax = inference.activation == "softmax"
    steps = [
        _step("Activationsd", "pred", softmax=True) if softmax else _step("Activationsd", "pred", sigmoid=True),
        _step(
            "Invertd",
            "pred",
            transform="@preprocessing",
            orig_keys="image",
            nearest_interp=False,
            to_tensor=True,
        ),
    ]
    numbers = list(range(1, len(values) + 1))
    if inference.regions:
        painted = [values.index(value) for value, _ in inference.regions]
        values = [values[number] for number in painted]
        channels = [1 + number for number in painted]  # behind the background
        ranks = f"torch.arange(1, {len(values) + 1}, device=x.device).view(-1, 1, 1, 1)"
        steps.append(_function(f"((x[{channels}] >= {MASK_THRESHOLD}) * {ranks}).amax(0, keepdim=True)"))
    else:
        steps.append(_step("AsDiscreted", "pred", argmax=True))
    if values != numbers:
        steps.append(_step("MapLabelValued", "pred", orig_labels=numbers, target_labels=values))
    for value in inference.largest_component:
        steps.append(_step("KeepLargestConnectedComponentd", "pred", applied_labels=[value]))
    if model.network.encoder.in_channels > 1:
        meta = "{**x.meta, 'original_channel_dim': float('nan')}"
        why = "MONAI 1.6.1 writes no mask of three axes with the metadata of a file of four"
        steps.append({**_function(f"monai.data.MetaTensor(x.as_tensor(), meta={meta})"), "_desc_": why})
    return [*steps, _save(values)]


def _save(values: list[int]) -> Step:
    least, most = min(values), max(values)
    if least < 0:
        kind = "int16" if least >= -(_LARGEST_SHORT // 2) and most <= _LARGEST_SHORT // 2 else "int32"
    else:
        kind = "uint8" if most <= _LARGEST_BYTE else "uint16" if most <= _LARGEST_SHORT else "uint32"
    return _step(
        "SaveImaged",
        "pred",
        meta_keys="pred_meta_dict",
        output_dir="@output_dir",
        output_postfix="mask",
        output_ext=".nii.gz",
        output_dtype=f"$numpy.{kind}",
        writer="NibabelWriter",
        resample=False,
        separate_folder=False,
    )


def _function(expression: str) -> Step:
    return _step("Lambdad", "pred", func=f"$lambda x: {expression}")


def _step(name: str, key: str, **arguments: Any) -> Step:
    return {"_target_": name, "keys": key, **arguments}
