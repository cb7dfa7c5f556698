"""The FLAIR channel as a data set: the right channel, every patient, refusals."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from lgg_flair import main, write_flair

from segxfer3d import InputError, find_cases

SHAPE = (6, 5, 4)
CHANNELS = {"0": "T1 (pre-contrast)", "1": "FLAIR", "2": "T1 (post-contrast)"}


@pytest.fixture
def brains(tmp_path):
    """Three patients, the second with FLAIR in place of T1, the third in place of T1 with contrast."""
    root, rng = tmp_path / "LGG", np.random.default_rng(0)
    training = []
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for k in range(3):
        values = rng.integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
        if k:
            values[..., 0 if k == 1 else 2] = values[..., 1]
        label = (values[..., 1] > 200).astype(np.uint8)
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        entry = {"patient": f"P{k}"}
        for key, folder, content in (("image", "imagesTr", values), ("label", "labelsTr", label)):
            entry[key] = f"./{folder}/case{k}.nii.gz"
            nib.save(nib.Nifti1Image(content, affine), root / entry[key])
        training.append(entry)
    content = {"modality": CHANNELS, "labels": {"0": "background", "1": "abnormality"}, "training": training}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_every_patient_is_kept_with_the_channel_called_flair(brains, tmp_path):
    assert write_flair(brains, tmp_path / "flair") == (3, 1)
    case_set = find_cases(tmp_path / "flair")
    assert [case.patient for case in case_set.cases] == ["P0", "P1", "P2"]
    assert (case_set.modality, case_set.channels, case_set.classes) == ("MR", 1, {1: "abnormality"})
    for case in case_set.cases:
        source = nib.load(brains / "imagesTr" / case.image.name)
        written = nib.load(case.image)
        np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(source.dataobj)[..., 1])
        np.testing.assert_array_equal(written.affine, source.affine)
        assert Path(case.label).is_file()


def test_another_order_of_channels_is_followed(brains, tmp_path):
    content = json.loads((brains / "dataset.json").read_text())
    content["modality"] = {"0": "FLAIR", "1": "T1 (pre-contrast)", "2": "T1 (post-contrast)"}
    (brains / "dataset.json").write_text(json.dumps(content))
    write_flair(brains, tmp_path / "flair")
    written = np.asarray(nib.load(tmp_path / "flair" / "imagesTr" / "case0.nii.gz").dataobj)
    np.testing.assert_array_equal(written, np.asarray(nib.load(brains / "imagesTr" / "case0.nii.gz").dataobj)[..., 0])


def test_it_says_what_it_wrote(brains, tmp_path, capsys):
    main([str(brains), str(tmp_path / "flair")])
    assert "3 patients, all kept; 1 of them have FLAIR in place of T1" in capsys.readouterr().out


def test_channels_that_do_not_fit_are_refused(brains, tmp_path):
    path = brains / "dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"modality": {"0": "T1 (pre-contrast)", "1": "T2"}}))
    with pytest.raises(InputError, match="expected one channel called FLAIR"):
        write_flair(brains, tmp_path / "flair")
    path.write_text(json.dumps(content | {"modality": {"0": "T1 (pre-contrast)", "1": "FLAIR"}}))
    with pytest.raises(InputError, match=r"case0.nii.gz: expected 2 channels, its shape is \(6, 5, 4, 3\)"):
        write_flair(brains, tmp_path / "flair")
    with pytest.raises(InputError, match=r"expected a dataset\.json that names its channels"):
        write_flair(tmp_path / "flair", tmp_path / "other")


@pytest.mark.data
def test_all_patients_of_the_real_set_are_kept(real_data, tmp_path):
    assert write_flair(real_data / "LGG_MRI", tmp_path / "flair") == (85, 5)
