"""Ways to change a made data set of volumes, as files are changed between two starts of a run."""

import json
import shutil

import nibabel
import numpy as np

from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import AFFINE, SHAPE, image, label, labels


def added(root):
    for number in range(6, 12):
        write_nifti(root / "imagesTr" / f"p{number}.nii.gz", ct(SHAPE, number), AFFINE)
        write_nifti(root / "labelsTr" / f"p{number}.nii.gz", label(), AFFINE)


def gone(root):
    image(root).unlink()
    labels(root).unlink()


def other_image(root):
    write_nifti(image(root), ct(SHAPE, 99), AFFINE)


def elsewhere(root):
    moved = AFFINE.copy()
    moved[0, 3] += 7
    write_nifti(image(root), ct(SHAPE, 1), moved)
    write_nifti(labels(root), label(), moved)


def other_label(root):
    write_nifti(labels(root), np.roll(label(), 1, 0), AFFINE)


def other_modality(root):
    pairs = [{"image": f"imagesTr/p{i}.nii.gz", "label": f"labelsTr/p{i}.nii.gz"} for i in range(6)]
    content = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "lung"}, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def split_of(root):
    return json.loads((root.parent / "run" / "split.json").read_text(encoding="utf-8"))


def swapped(root, one, other, files):
    for file in files:
        (file(root, one)).rename(root / "away")
        (file(root, other)).rename(file(root, one))
        (root / "away").rename(file(root, other))


def copied(root, one, other, files):
    for file in files:
        shutil.copy(file(root, one), file(root, other))


def written_anew(root, one, other, files):
    """The values of one under the name of the other, which is another file of them."""

    for file in files:
        read = nibabel.load(file(root, one))
        write_nifti(file(root, other), np.asanyarray(read.dataobj), read.affine)


def image_of(root, name):
    return root / "imagesTr" / f"{name}.nii.gz"


def label_of(root, name):
    return root / "labelsTr" / f"{name}.nii.gz"
