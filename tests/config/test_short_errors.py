"""What a user sees of an error, and what is kept of it."""

import logging
import tempfile

import pytest

from segxfer3d.config import short_errors
from segxfer3d.config.short_errors import MOST_CHARACTERS, MOST_LOGS, kept_and_shortened, shortened, show_error
from segxfer3d.config.stopping import Stopped
from segxfer3d.errors import InputError


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # no run, whose log would take the trace
    return tmp_path


def shown(error, capsys):
    try:
        raise error
    except type(error) as raised:
        show_error(type(raised), raised, raised.__traceback__)
    return capsys.readouterr().err


def test_a_long_message_is_cut_and_whole_in_the_trace(temporary, capsys):
    message = "\n".join(f"case{number}: no volume" for number in range(1000))
    text = shown(InputError(message), capsys)
    assert text.startswith(
        f"error: {message[:MOST_CHARACTERS]}... ({len(message)} characters, all of them in the trace)"
    )
    (log,) = temporary.glob("segxfer3d-error-*.log")
    assert message in log.read_text(encoding="utf-8")
    assert shortened("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    assert shortened("a" * 2000).endswith("... (2000 characters)")


def test_a_long_message_of_a_command_is_kept_whole(temporary):
    message = "\n".join(f"case{number}: no volume" for number in range(1000))
    text = kept_and_shortened(message)
    (log,) = temporary.glob("segxfer3d-error-*.log")
    assert text == f"{message[:MOST_CHARACTERS]}... ({len(message)} characters, all of them in {log})"
    assert log.read_text(encoding="utf-8") == message + "\n"
    assert kept_and_shortened("short") == "short"


def test_logs_of_errors_do_not_pile_up(temporary, capsys):
    (temporary / "other.log").write_text("", encoding="utf-8")
    for number in range(MOST_LOGS + 5):
        shown(InputError(f"number {number}"), capsys)
    logs = sorted(temporary.glob("segxfer3d-error-*.log"), key=lambda path: path.stat().st_mtime)
    assert len(logs) == MOST_LOGS
    assert f"number {MOST_LOGS + 4}" in logs[-1].read_text(encoding="utf-8")
    assert (temporary / "other.log").exists()


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (Stopped(15), 143), (Stopped(1), 129)])
def test_what_ended_a_process_is_its_status(error, status, capsys):
    short_errors.set_hint("again goes on")
    with pytest.raises(SystemExit) as ended:
        shown(error, capsys)
    short_errors.set_hint("")
    assert ended.value.code == status
    assert capsys.readouterr().err == "stopped; again goes on\n"
