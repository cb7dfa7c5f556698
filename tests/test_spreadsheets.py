"""Tables as Excel saves them: a byte order mark, semicolons, decimal commas."""

import pytest

from segxfer3d.errors import InputError
from segxfer3d.report.scores import read_scores
from segxfer3d.spreadsheets import plain_csv

PLAIN = "case,patient,dice,iou\r\nc,1 a,0.875,0.75\r\nb,b,1e-05,0\r\n"


def test_a_plain_table_stays_as_it_is():
    assert plain_csv(PLAIN) is PLAIN
    assert plain_csv("") == ""


def test_a_byte_order_mark_goes():
    assert plain_csv("\ufeff" + PLAIN) == PLAIN


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_semicolons_and_decimal_commas(tmp_path, mark):
    excel = mark + 'case;patient;dice;iou\r\n"c,1";a;0,875;0,75\r\nb;b;1E-05;0\r\n'
    path = tmp_path / "cases.csv"
    path.write_text(excel, encoding="utf-8", newline="")
    scores = read_scores(path, "random", 5, 0)
    assert [(score.case, score.patient, score.value) for score in scores] == [("c,1", "a", 0.875), ("b", "b", 1e-05)]
    assert [score.value for score in read_scores(path, "random", 5, 0, "iou")] == [0.75, 0]


def test_tabs():
    assert plain_csv("case\tdice\na,1\t0,5\n") == 'case,dice\n"a,1",0.5\n'


@pytest.mark.parametrize("cell", ["875", "05. Jan", ""])
def test_what_excel_took_for_something_else_is_refused(cell):
    with pytest.raises(InputError, match=rf"dice '{cell}' in a table with semicolons, as Excel saves it: expected"):
        plain_csv(f"case;patient;dice\na;a;{cell}\n")
