"""ITK itself (itk-io) in a process of its own: its libraries and torch's do not bear each other in one.

It answers lines of JSON: of a file, where its voxels other than 0 are, and the places (LPS) of given ones.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest


class Itk:
    """Asks the process, which is started at the first question."""

    def __init__(self):
        self.process = None

    def ask(self, path, index=()):
        if find_spec("itk") is None:
            pytest.skip("needs itk-io")
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen([sys.executable, "-W", "ignore", __file__], stdin=pipe, stdout=pipe)
        question = {"path": str(path), "index": np.asarray(index).tolist()}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def labeled(self, path):
        return np.array(self.ask(path)["labeled"])

    def places(self, path, index):
        return np.array(self.ask(path, index)["places"]) * (-1, -1, 1)

    def end(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()


def main():
    import itk

    for line in sys.stdin:
        question = json.loads(line)
        try:
            image = itk.imread(question["path"])
            more = [0] * (image.GetImageDimension() - 3)
            places = [list(image.TransformIndexToPhysicalPoint([*row, *more]))[:3] for row in question["index"]]
            labeled = np.argwhere(itk.array_from_image(image).T != 0).tolist()
            answer = {"places": places, "labeled": labeled}
        except RuntimeError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
