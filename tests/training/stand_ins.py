"""What handlers need of a run, without a job, a log or a lock."""

from segxfer3d import files
from segxfer3d.run.folder import RunFolder
from segxfer3d.run.made_from import MadeFrom


class Run:
    """A run that keeps what it says."""

    def __init__(self, path, job="test", main=True, resume=False, finished=False):
        self.path, self.job, self.main, self.resume, self.finished = path, job, main, resume, finished
        self.said, self.before_close, self.started_from = [], [], {}
        self.made_from = MadeFrom(path)
        self._records = {}

    goes_on_with = RunFolder.goes_on_with
    record_path = RunFolder.record_path

    def say(self, text):
        self.said.append(text)

    def append_line(self, name, line):
        files.append_line(self.path / name, line)

    def write_bytes(self, name, content):
        files.make_folder((self.path / name).parent)
        files.write_bytes(self.path / name, content)
