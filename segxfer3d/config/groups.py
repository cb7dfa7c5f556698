"""The options that bundles share, grouped by subject; what only one pretext has stands in its own file."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.image_files import ExtraImages as ExtraImages
from segxfer3d.config.image_files import Images as Images
from segxfer3d.config.initializations import INITIALIZATIONS
from segxfer3d.config.options import Group, option

SCHEDULES = ("constant", "warmup-cosine", "warmup-polynomial", "cosine", "polynomial", "halving", "plateau")
OPTIMIZERS = ("adam", "adamw", "sgd", "nesterov", "lars")
BACKBONES = ("conrec", "resnet18", "resnet34", "resnet50", "plain", "resenc")
NORMS = ("auto", "instance", "batch")
PARTS = ("test", "validation", "train", "all")
WINDOW = (-1000.0, 1000.0)  # HU: from air to dense bone, as Models Genesis scales chest CT

_SEEDS = 2**32 - 1
_STEPS = 10**9
_SEED = "seed of the labels drawn, the weights, the patches and the corruption"
_PAIR = r"\s*-?\d+\s*:\s*-?\d+\s*"
_PAIRS = rf"{_PAIR}(,{_PAIR})*"
_BATCH = "patches, images or windows in a step, for each process; none, in fine-tuning on volumes: of the plan"
_MODEL = "model.pt of a run; to start from, a published Models Genesis or ImageNet checkpoint too"
_LAYOUT = "the name of a layout, or nothing"
SKIP_BAD_CASES = "--skip_bad_cases True"  # as messages name the option
_SKIP_BAD = "go on without the cases that cannot be used, and record which"


@dataclass(frozen=True)
class Run(Group):
    """What every job has: where it writes, and what it computes on."""

    output_dir: str = option(
        "", "where the run, or the masks, are written", path="folder", empty=False, text="a folder",
        changes_result=False, tells_arms=False,
    )  # fmt: skip
    amp: bool = option(
        False, "bf16 autocast; by default where a measurement says that the device is faster in it", tells_arms=False
    )
    channels_last: bool = option(True, "channels-last memory layout", tells_arms=False)
    device: str = option(
        "cpu", "where the network runs", text="cpu, cuda or cuda:<n>", form=r"(cpu|cuda|mps|xpu)(:\d{1,4})?",
        changes_result=False, tells_arms=False,
    )  # fmt: skip
    progress: bool = option(True, "progress bars", changes_result=False, tells_arms=False)


@dataclass(frozen=True)
class Data(Group):
    """Which data, and how they are split."""

    dataset_dir: str = option("", "the data; empty: some are generated", path="folder", tells_arms=False)
    dataset: str = option("", "layout of dataset_dir; nothing: the one that fits", text=_LAYOUT, tells_arms=False)
    patient_pattern: str = option(
        "", "finds the patient in a file name (its first group); empty: see docs", pattern=True
    )
    label_map: str = option(
        "", "values of label files that stand for others, such as 255:1 or 64:1,128:2",
        text="pairs of whole numbers such as 255:1 or 64:1,128:2", form=_PAIRS,
    )  # fmt: skip
    skip_bad_cases: bool = option(False, _SKIP_BAD)
    split_seed: int = option(0, "seed of the split by patient; the same for every arm of a study", least=0, most=_SEEDS)
    pretrain_fraction: float = option(
        0.0,
        "share of the patients (or images) set apart for pretraining; 0: of volumes the training part pretrains, of "
        "images all, those that are measured too",
        least=0,
        below=1,
    )
    validation_fraction: float = option(0.15, "share of the patients for validation", least=0, below=1)


@dataclass(frozen=True)
class TestPart(Group):
    """What is measured."""

    __test__ = False  # for pytest

    test_fraction: float = option(
        0.25,
        "share of the patients for the final table; of images, 0 measures all that are not labeled",
        least=0,
        below=1,
    )


@dataclass(frozen=True)
class Labels(Group):
    """How many labels may be used."""

    label_fraction: float | None = option(
        None, "share of the training patients (of all images) whose labels are used", above=0, most=1, tells_arms=False
    )
    label_count: int | None = option(
        None, "number of training patients (or images) whose labels are used", least=1, most=10**9, tells_arms=False
    )


@dataclass(frozen=True)
class Start(Group):
    """What a network starts from."""

    checkpoint: str = option("", _MODEL, path="file", tells_arms=False)
    init: str = option(
        "encoder",
        "which parts start from the checkpoint, and which stay frozen; with data of your own all but random and "
        "frozen-random need one",
        choices=INITIALIZATIONS,
        tells_arms=False,
    )
    pretrain_config: str = option(
        "", "run on the generated data first, where no checkpoint is given", path="file", text="a bundle",
        changes_result=False, tells_arms=False,
    )  # fmt: skip
    decoder_warmup_epochs: int = option(
        0, "epochs in which only decoder and head train, before all does", least=0, most=_STEPS
    )


@dataclass(frozen=True)
class Training(Group):
    """How long, how fast, and what is kept."""

    resume: bool = option(False, "go on with the run in output_dir", changes_result=False, tells_arms=False)
    accept_changed_data: bool = option(
        False,
        "go on where files have other values than at the start, as long as each part has the same cases",
        changes_result=False,
        tells_arms=False,
    )
    save_interval: int = option(
        1, "epochs from one training state to the next", least=1, most=_STEPS, changes_result=False, tells_arms=False
    )
    seed: int = option(0, _SEED, least=0, most=_SEEDS, tells_arms=False)
    max_epochs: int = option(100, "number of epochs", least=1, most=_STEPS)
    steps_per_epoch: int = option(20, "training steps in an epoch", least=1, most=_STEPS)
    batch_size: int | None = option(4, _BATCH, least=1, most=2**20)
    optimizer_name: str = option("adam", "the optimizer", choices=OPTIMIZERS)
    lr: float | None = option(
        0.001,
        "peak learning rate; none, in fine-tuning: by a rule for the number of steps",
        above=0,
        most=1000,
    )
    weight_decay: float = option(0.0, "weight decay (not on biases and norms)", least=0, most=1000)
    schedule: str = option("warmup-cosine", "course of the learning rate", choices=SCHEDULES)
    warmup_fraction: float = option(0.1, "share of the steps in which the rate rises", least=0, most=1)
    clip_norm: float = option(1.0, "largest gradient norm; 0: no clipping", least=0, most=10**6)
    patience: int = option(0, "validations without progress before the run stops; 0: never", least=0, most=_STEPS)
    keep: str = option("last", "weights of model.pt: the last, or the best on validation", choices=("last", "best"))
    validation_interval: int = option(1, "epochs from one validation to the next", least=1, most=_STEPS)
    compile: bool = option(False, "torch.compile the network", changes_result=False, tells_arms=False)
    num_workers: int = option(0, "loader processes", least=0, most=256, changes_result=False, tells_arms=False)


@dataclass(frozen=True)
class Volumes(Group):
    """How volumes become what the network sees."""

    spacing: tuple[float, float, float] | None = option(
        None, "voxel spacing to resample to; none: native", least=1e-5, most=1000,
        text="three numbers of millimeters from 0.00001 to 1000",
    )  # fmt: skip
    intensity: str | tuple[str, ...] = option(
        "auto",
        "how intensities are scaled; auto: the plan's rule, or without one a window for CT, percentiles otherwise; "
        "foreground and zscore: not in pretraining",
        choices=("auto", "window", "percentile", "foreground", "zscore"),
    )
    window_low: float | tuple[float, ...] = option(WINDOW[0], "lower end of the HU window", least=-(10**6), most=10**6)
    window_high: float | tuple[float, ...] = option(WINDOW[1], "upper end of the HU window", least=-(10**6), most=10**6)
    patch_size: tuple[int, int, int] | None = option(
        (64, 64, 32), "voxels of a training patch and of an inference window; none: of the plan", least=1, most=1024,
        text="three whole numbers up to 1024",
    )  # fmt: skip

    def problems(self) -> list[str]:
        """A window has two ends."""
        lows, highs = (end if isinstance(end, tuple) else (end,) for end in (self.window_low, self.window_high))
        number = max(len(lows), len(highs))
        if not {len(lows), len(highs)} <= {1, number}:
            return [f"window_low and window_high: {len(lows)} and {len(highs)} values; expected as many"]
        pairs = zip(lows * (number // len(lows)), highs * (number // len(highs)), strict=True)
        return [f"window_low: expected less than window_high ({high:g})" for low, high in pairs if not low < high]


@dataclass(frozen=True)
class Phantoms(Group):
    """Volumes that are made where none are given."""

    phantom_patients: int = option(16, "patients made where no data is given", least=4, most=10_000)


@dataclass(frozen=True)
class Cubes(Group):
    """How pretraining crops are drawn from volumes."""

    crop_rule: str = option(
        "auto",
        "how pretraining crops are drawn; auto: genesis where a CT is large enough",
        choices=("auto", "genesis", "uniform"),
    )


@dataclass(frozen=True)
class Patches(Group):
    """How training patches are drawn from labeled volumes."""

    foreground_share: float = option(0.5, "share of the patches centered on foreground", least=0, most=1)


@dataclass(frozen=True)
class Windows(Group):
    """How a whole volume is gone through."""

    overlap: float = option(0.25, "overlap of neighboring inference windows", least=0, most=0.99)


@dataclass(frozen=True)
class Lesions(Group):
    """Measures of connected components."""

    lesions: bool = option(False, "measure connected components too: found, and false positives", tells_arms=False)
    lesion_tolerance: float = option(
        2.0, "distance that the surface dice of a lesion allows", least=0, most=1000, text="mm, from 0 to 1000",
        tells_arms=False,
    )  # fmt: skip
    lesion_min_iou: float = option(
        0.0, "IoU that finds a lesion; 0: any overlap does", least=0, most=1, tells_arms=False
    )


@dataclass(frozen=True)
class Monitor(Group):
    """What is looked at while a pretext trains."""

    probe: bool = option(True, "measure how well classes can be told from embeddings, where there are classes")
    monitor_interval: int = option(
        20, "epochs from one look at probes and pictures to the next; 0: never", least=0, most=_STEPS,
        changes_result=False, tells_arms=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Network(Group):
    """Which network trains."""

    network: str = option(
        "genesis_unet", "plain_unet, resenc_unet (both nnU-Net's), genesis_unet (3D), conrec_unet, a ResNet (2D)",
        text="the name of a network", empty=False,
    )  # fmt: skip
    width: int | None = option(
        32,
        "channels of the first convolution (genesis_unet: 32 is the published network); none: of the checkpoint or the "
        "plan",
        least=1,
        most=4096,
    )
    norm: str = option("auto", "what plain_unet and resenc_unet normalize by; auto: instances", choices=NORMS)


@dataclass(frozen=True)
class GenesisNetwork(Group):
    """The 3D U-Net of Models Genesis."""

    batch_statistics: bool = option(False, "batch norm uses batch statistics in evaluation too")


@dataclass(frozen=True)
class ImageNetwork(Group):
    """The size of the images that a 2D U-Net sees."""

    image_size: int = option(
        64, "pixels of a side of what the network sees (of 32 for a ResNet)", least=8, most=8192, multiple=8,
        text="a multiple of 8 up to 8192",
    )  # fmt: skip
    backbone: str = option("conrec", "another name of network in 2D, by its encoder", choices=BACKBONES)


@dataclass(frozen=True)
class Evaluation(Group):
    """Which model is measured, and on what."""

    checkpoint: str = option("", _MODEL, path="file", tells_arms=False)
    part: str = option("test", "which part of the split is evaluated", choices=PARTS)
    seed: int = option(0, _SEED, least=0, most=_SEEDS, tells_arms=False)


@dataclass(frozen=True)
class Inference(Group):
    """Which model, and what it segments."""

    checkpoint: str = option("", _MODEL, path="file", tells_arms=False)
    input: str = option("", "what to segment", path="place", text="a volume, an image, or a folder of such")
    skip_bad_cases: bool = option(False, _SKIP_BAD)
    probabilities: bool = option(False, "write the probabilities beside the masks")
    batch_size: int | None = option(4, _BATCH, least=1, most=2**20)
