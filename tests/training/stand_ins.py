"""What handlers need of a run, without a job, a log or a lock."""

from segxfer3d import files
from segxfer3d.errors import InputError


class Run:
    """A run that keeps what it says."""

    def __init__(self, path, job="test", main=True, resume=False, finished=False):
        self.path, self.job, self.main, self.resume, self.finished = path, job, main, resume, finished
        self.said = []

    def say(self, text):
        self.said.append(text)

    def append_line(self, name, line):
        files.append_line(self.path / name, line)

    def write_bytes(self, name, content):
        path = self.path / name
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent} could not be written ({error})") from error
        files.write_bytes(path, content)
