"""The record of a study, small enough to commit: what its report is made from, with hashes and without machine paths.

A record's folder::

    study.json            as the study's folder has it (segxfer3d.study.trials), paths of the machine taken out
    pretrain/<name>-<identity>/record.json, ...
    finetune/<data>-<arm>-<budget>-s<seed>/
        record.json       what was run and what came out, see below
        cases.csv.gz      a row for each case (of a fine-tuning)
        metrics.jsonl.gz  a line for each epoch
        run.json.gz       the other files of the run: name -> content, as run.json, split.json, transfer.json, done.json

``record.json`` is the trial's entry of ``trials.json`` without ``knobs`` (``run.json`` has all options), and::

    format      1
    start       of what it starts from: {"config", "identity", "parts", "values", "model"}; null where that is no trial
    model       SHA-256 of the tensors of model.pt, which is not kept
    processor, threads, gpu, torch   that it ran on and with
    files       name -> SHA-256 of its content, of all files above
    hash        of all that is said here

Compressed files have no time in them: the same run gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.errors import InputError, numbered, some
from segxfer3d.schema.kinds import refuse
from segxfer3d.schema.own_files import KINDS
from segxfer3d.schema.parsing import parse
from segxfer3d.study.trials import STUDY_FILE

FORMAT = 1
RECORD = "record.json"
RUN_FILES = "run.json.gz"  # name -> content of the small files of a run
TABLES = ("cases.csv", "metrics.jsonl")
RUN, DONE_FILE = "run.json", "done.json"
STAGES = ("pretrain", "finetune")


@dataclass(frozen=True)
class Record:
    """One training, as it is kept.

    Attributes:
        entry: content of ``record.json``.
        texts: name of a file that the run left -> its text.
    """

    entry: Mapping[str, Any]
    texts: Mapping[str, str]

    @property
    def folder(self) -> str:
        """Below the record's folder, and below the study's."""
        return str(self.entry["folder"])

    @property
    def values(self) -> dict[str, Any]:
        """All options of the run."""
        return dict(json.loads(self.texts[RUN])["knobs"])

    @property
    def seconds(self) -> float:
        """That it took."""
        return float(json.loads(self.texts[DONE_FILE])["seconds"])


def is_record(folder: Path) -> bool:
    """Whether a folder is the record of a study."""
    return (folder / STUDY_FILE).is_file() and bool(_places(folder))


def _places(folder: Path) -> list[Path]:
    """The folders of all records of a study, pretrainings first; not what a writer that was killed has left."""
    found = [path.parent for stage in STAGES for path in sorted(folder.glob(f"{stage}/*/{RECORD}"))]
    return [place for place in found if not place.name.startswith(".")]


def read_study_name(folder: Path) -> str:
    """The name of the study whose record a folder is.

    Raises:
        InputError: it is none, or damaged.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise InputError(f"{folder}: no record of a study (there is no {STUDY_FILE}); expected one of study keep")
    name: str = documents.own(path, after="; expected the file as it was kept")["name"]
    return name


def read_records(folder: Path) -> list[Record]:
    """All records of a study, pretrainings first; each is whole and as it was kept.

    Raises:
        InputError: records that are damaged, or were edited since, all of them.
    """
    records, wrong = [], []
    for path in _places(folder):
        place = path.relative_to(folder).as_posix()
        try:
            records.append(_read(path, place))
        except (OSError, EOFError, ValueError, zlib.error) as error:
            wrong.append(f"{place}: {error}")
    if wrong:
        listed = some(wrong, separator="\n  ")
        raise InputError(
            f"{folder}: {numbered(len(wrong), 'record is not as it was', 'records are not as they were')} kept; take "
            "back from git, or delete:\n"
            f"  {listed}"
        )
    return records


def _read(folder: Path, place: str) -> Record:
    """One record.

    Raises:
        OSError, EOFError, ValueError: it is damaged or was edited.
    """
    entry = parse(documents.text_of(folder / RECORD))
    refuse(KINDS[RECORD], entry, RECORD)
    if entry["hash"] != hash_of(entry) or entry["identity"] != files.digest(entry["parts"]):
        raise ValueError(f"{RECORD} was edited (its hash is {hash_of(entry)}, not {entry['hash']})")
    if entry["folder"] != place:
        raise ValueError(f"is the record of {entry['folder']}")
    texts = {name: _unpacked(folder / f"{name}.gz") for name in TABLES if name in entry["files"]}
    contents = parse(_unpacked(folder / RUN_FILES))
    refuse(KINDS[RUN_FILES], contents, RUN_FILES)
    texts |= {name: document(content) for name, content in contents.items()}
    for name in sorted({*texts, *entry["files"]}):
        if name not in texts:
            raise ValueError(f"{name} is missing")
        is_now = content_hash(texts[name])
        if is_now != entry["files"].get(name):
            raise ValueError(f"{name} was edited (its hash is {is_now[:8]}, not {str(entry['files'].get(name))[:8]})")
    return Record(entry, texts)


def write_record(folder: Path, record: Record) -> None:
    """Write a record below a record's folder, whole or not at all; its place has to be new.

    Raises:
        InputError: it cannot be written.
    """
    contents = {name: json.loads(text) for name, text in record.texts.items() if name not in TABLES}
    with files.new_folder(folder / record.folder) as place:
        for name in TABLES:
            if name in record.texts:
                files.write_bytes(place / f"{name}.gz", packed(record.texts[name]))
        files.write_bytes(place / RUN_FILES, packed(json.dumps(contents)))
        files.write_json(place / RECORD, record.entry)


def document(content: Any) -> str:
    """A JSON file of a run, as :func:`segxfer3d.files.write_json` writes it."""
    return json.dumps(content, indent=1) + "\n"


def packed(text: str) -> bytes:
    """A text compressed; the same bytes whenever it is done."""
    stream = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as file:
        file.write(text.encode("utf-8"))
    return stream.getvalue()


def _unpacked(path: Path) -> str:
    with gzip.open(path) as file:
        content = file.read(documents.BYTES + 1)
    if len(content) > documents.BYTES:
        raise ValueError(f"{path.name}: more than {documents.BYTES / 2**30:g} GiB")
    return content.decode("utf-8")


def content_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_of(entry: Mapping[str, Any]) -> str:
    """The hash of ``record.json``: of all but itself."""
    return files.digest({key: value for key, value in entry.items() if key != "hash"})


def weights_hash(path: Path) -> str:
    """SHA-256 of the tensors in a ``model.pt``, in their order; of another file, of its bytes.

    Torch writes a zip with one entry ``data/<number>`` for each tensor. What stands beside them (where the run was, by
    which torch) does not count.

    Raises:
        InputError: it cannot be read.
    """
    total = hashlib.sha256()
    try:
        if not zipfile.is_zipfile(path):
            return hashlib.sha256(path.read_bytes()).hexdigest()
        with zipfile.ZipFile(path) as archive:
            tensors = [name for name in archive.namelist() if name.split("/")[-2:-1] == ["data"]]
            for name in sorted(tensors, key=lambda name: int(name.split("/")[-1])):
                content = archive.read(name)
                total.update(len(content).to_bytes(8, "little") + content)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: the weights cannot be read ({error})") from error
    return total.hexdigest()
