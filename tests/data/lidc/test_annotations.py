"""Radiologists' outlines: what is read from the files, and which pixels an outline encloses."""

import re
import shutil
from fractions import Fraction

import numpy as np
import pytest

from segxfer3d.data.lidc.annotations import fill_outline, index_readings, read_reading
from segxfer3d.errors import InputError
from tests.data.lidc_files import (
    box,
    disk,
    nodule,
    non_nodule,
    ring,
    roi,
    small_nodule,
    write_radiograph_reading,
    write_reading,
)


def enclosed_slowly(points):
    """Even-odd rule by a ray from every pixel, and the pixels on the line; exact."""
    size = points.max(0) + 1
    inside, line = np.zeros(size, bool), np.zeros(size, bool)
    edges = list(zip(points.tolist(), np.roll(points, -1, 0).tolist(), strict=True))
    for x, y in np.ndindex(*size):
        for (x1, y1), (x2, y2) in edges:
            between = min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2)
            if between and (x2 - x1) * (y - y1) == (x - x1) * (y2 - y1):
                line[x, y] = True
            elif (y1 > y) != (y2 > y) and x > x1 + Fraction((y - y1) * (x2 - x1), y2 - y1):
                inside[x, y] ^= True
    return inside, line


def test_fill_agrees_with_rays():
    rng = np.random.default_rng(0)
    for count in [*range(1, 9)] * 8:
        points = rng.integers(0, 10, (count, 2))
        points -= points.min(0)
        inside, line = enclosed_slowly(points)
        start, mask = fill_outline(points)
        assert start == (0, 0)
        np.testing.assert_array_equal(mask, inside & ~line)
        np.testing.assert_array_equal(fill_outline(points, with_line=True)[1], inside | line)


@pytest.mark.parametrize("radius", [0.5, 1, 2.3, 6.7])
def test_outline_of_the_first_pixels_outside_gives_the_nodule_back(radius):
    expected = disk((30, 40), (14.2, 21), radius)
    for points in (ring(expected), ring(expected)[::-1], np.concatenate([ring(expected), ring(expected)[:1]])):
        (x, y), mask = fill_outline(points)
        found = np.zeros_like(expected)
        found[x : x + mask.shape[0], y : y + mask.shape[1]] = mask
        np.testing.assert_array_equal(found, expected)


def test_reads_outlined_nodules_only(tmp_path):
    sessions = [
        nodule("1", roi(-12.5, box((3, 5), (7, 9))), roi(-10, box((4, 4), (8, 8)), "FALSE"))
        + small_nodule("2", -10, 4, 4)
        + non_nodule("3", -10, 9, 9),
        non_nodule("4", -10, 9, 9),
        nodule("Nodule 001", roi(-10, [(4, 4)]), roi(-12.5, box((3, 6), (7, 9))))
        + nodule("one point", roi(0, [(4, 4)])),
    ]
    reading = read_reading(write_reading(tmp_path / "158.xml", "1.3.6.9", sessions))
    assert (reading.series, reading.study, reading.readers) == ("1.3.6.9", "study-of-1.3.6.9", 3)
    assert [(one.nodule, one.reader) for one in reading.annotations] == [("1", 0), ("Nodule 001", 2)]
    first, hole = reading.annotations[0].outlines
    assert (first.z, first.inclusion, hole.z, hole.inclusion) == (-12.5, True, -10, False)
    assert first.points.tolist() == [[2, 6], [6, 6], [6, 10], [2, 10], [2, 6]]
    assert [outline.z for outline in reading.annotations[1].outlines] == [-12.5]


def test_sessions_of_one_named_radiologist_are_one_reader(tmp_path):
    one = nodule("1", roi(0, box((3, 5), (7, 9))))
    path = write_reading(
        tmp_path / "1.xml", "1.2", [one] * 5, ["-360930790", "anon", "307281171", "-360930790", "anon"]
    )
    reading = read_reading(path)
    assert reading.readers == 4
    assert [annotation.reader for annotation in reading.annotations] == [0, 1, 2, 0, 3]


def test_index_finds_ct_readings(tmp_path):
    one = write_reading(tmp_path / "tcia-lidc-xml" / "157" / "158.xml", "1.2", [non_nodule("1", 0, 2, 2)])
    two = write_reading(tmp_path / "tcia-lidc-xml" / "157" / "159.xml", "1.3", [], uid="SeriesInstanceUID")
    write_radiograph_reading(tmp_path / "tcia-lidc-xml" / "185" / "001.xml", "1.4")
    (tmp_path / "tcia-lidc-xml" / "copy").mkdir()
    shutil.copy(one, tmp_path / "tcia-lidc-xml" / "copy")
    assert index_readings(tmp_path) == ({"1.2": [one], "1.3": [two]}, {})

    other = write_reading(tmp_path / "z.xml", "1.2", [])
    for name, text in {
        "empty": "",
        "cut": one.read_text(encoding="utf-8")[:200],
        "headless": '<LidcReadMessage xmlns="http://www.nih.gov"/>',
        "encoding": '<?xml version="1.0" encoding="none"?><a/>',
    }.items():
        (tmp_path / f"{name}.xml").write_text(text)
    found, damaged = index_readings(tmp_path)
    assert found == {"1.2": [one, other], "1.3": [two]}
    assert {path.stem for path in damaged} == {"empty", "cut", "headless", "encoding"}
    assert damaged[tmp_path / "headless.xml"] == "no SeriesInstanceUid in its header"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("</LidcReadMessage>", ""), "not a readable XML file"),
        (("<xCoord>2</xCoord>", "<xCoord>two</xCoord>"), "nodule 1 has a roi that cannot be read .*'two'"),
        (("<xCoord>2</xCoord>", ""), "nodule 1 has a roi that cannot be read .no xCoord"),
        (("TRUE", "MAYBE"), "expected TRUE or FALSE"),
        (("imageZposition>", "imageQposition>"), "no imageZposition"),
        (("-12.5", "nan"), "no finite z"),
        (("SeriesInstanceUid", "Series"), "expected a LidcReadMessage with a series UID"),
        (("LidcReadMessage", "IdriReadMessage"), "expected a LidcReadMessage with a series UID, got IdriReadMessage"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, message):
    path = write_reading(tmp_path / "158.xml", "1.2", [nodule("1", roi(-12.5, box((3, 5), (7, 9))))])
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(InputError, match=re.escape(str(path)) + ".*" + message):
        read_reading(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.xml"):
        read_reading(tmp_path / "none.xml")
