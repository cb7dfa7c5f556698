"""A list of chosen cases serves as a data set."""

import json

import numpy as np

from scripts.list_cases import main
from segxfer3d.data.layouts import find_cases
from tests.data.volumes import write_nifti


def test_large_cases_and_scans(tmp_path, capsys):
    for name, slices in (("p1_a", 4), ("p2_a", 9)):
        image = np.zeros((8, 8, slices), np.int16)
        write_nifti(tmp_path / "data" / "images" / f"{name}.nii.gz", image)
        write_nifti(tmp_path / "data" / "labels" / f"{name}.nii.gz", (image == 0).astype(np.uint8))
    write_nifti(tmp_path / "extra" / "ct.nii.gz", np.full((8, 8, 8), -900, np.int16))
    write_nifti(tmp_path / "extra" / "organs.nii.gz", np.ones((8, 8, 8), np.int16))
    command = ["--dataset_dir", str(tmp_path / "data"), "--extra_dir", str(tmp_path / "extra")]
    assert main([*command, "--min_slices", "8", "--output_dir", str(tmp_path / "cases")]) == 0
    content = json.loads((tmp_path / "cases" / "dataset.json").read_text())
    assert [entry["image"].rsplit("/", 1)[1] for entry in content["training"]] == ["p2_a.nii.gz"]
    cases = find_cases(tmp_path / "cases")
    assert len(cases.labeled) == 1
    assert [case.image.name for case in cases.unlabeled] == ["ct.nii.gz"]
    assert main([*command, "--min_slices", "10", "--output_dir", str(tmp_path / "none")]) == 1
    assert "none of 2 labeled cases has 10 slices" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
