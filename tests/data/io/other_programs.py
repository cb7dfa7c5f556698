"""ITK in a process of its own writes a volume: ``python other_programs.py VALUES.npy AFFINE.npy FILE...``."""

import sys

import itk
import numpy as np


def main(values, affine, *paths):
    image = itk.image_from_array(np.ascontiguousarray(np.load(values).T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.load(affine)
    sides = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(sides.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / sides))
    for path in paths:
        itk.imwrite(image, path, compression="z" in path)


if __name__ == "__main__":
    main(*sys.argv[1:])
