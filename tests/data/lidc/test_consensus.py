"""Which annotations are one nodule, and what at least half of its readers agree on."""

from pathlib import Path

import numpy as np
import pytest

from segxfer3d.data.lidc.annotations import Annotation, Outline, Reading
from segxfer3d.data.lidc.consensus import Region, annotation_region, consensus_nodules, same_nodule
from segxfer3d.errors import InputError
from tests.data.lidc_files import box, disk, ring

SHAPE = (40, 30, 12)
# as DICOM and LUNA16 lie: x and y of RAS run against the columns and rows
AFFINE = np.array([[-0.7, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 2.5, -100], [0, 0, 0, 1.0]])


def outline(k, points, inclusion=True):
    return Outline(AFFINE[2, 3] + 2.5 * k, np.array(points, np.int64), inclusion)


def boxes(reader, x, y, slices, name="n"):
    return Annotation(name, reader, tuple(outline(k, box(x, y)) for k in slices))


def in_volume(region, shape=SHAPE):
    return region.within((0, 0, 0), shape)


def nodules(*annotations, min_readers=1):
    reading = Reading(Path("158.xml"), "1.2", "", 4, annotations)
    return consensus_nodules(reading, SHAPE, AFFINE, min_readers)


def filled(x, y, z):
    mask = np.zeros(SHAPE, bool)
    mask[x[0] : x[1] + 1, y[0] : y[1] + 1, z[0] : z[1] + 1] = True
    return mask


def test_region_of_an_annotation():
    expected = np.zeros(SHAPE, bool)
    outlines = []
    for k, radius in ((3, 2), (4, 3.4), (6, 1)):  # slice 5 has no outline and stays empty
        expected[:, :, k] = disk(SHAPE[:2], (20, 14), radius)
        outlines.append(outline(k, ring(expected[:, :, k])))
    region = annotation_region(Annotation("1", 0, tuple(outlines)), SHAPE, AFFINE)
    np.testing.assert_array_equal(in_volume(region), expected)
    assert region.start == (17, 11, 3)
    np.testing.assert_allclose(region.center(), np.argwhere(expected).mean(0))
    volume = expected.sum() * 0.7 * 0.7 * 2.5
    assert 4 / 3 * np.pi * region.radius((0.7, 0.7, 2.5)) ** 3 == pytest.approx(volume)


def test_exclusion_cuts_a_hole_with_its_line_in_its_slice_only():
    outlines = [outline(k, box((10, 20), (10, 20))) for k in (2, 3)]
    hole = outline(3, box((14, 15), (13, 16)), inclusion=False)
    region = annotation_region(Annotation("1", 0, (*outlines, hole)), SHAPE, AFFINE)
    expected = filled((10, 20), (10, 20), (2, 3))
    expected[13:17, 12:18, 3] = False
    np.testing.assert_array_equal(in_volume(region), expected)


@pytest.mark.parametrize(("offset", "k"), [(-1.2, 4), (0, 4), (1.2, 4), (1.3, 5)])
def test_outline_goes_to_the_nearest_slice(offset, k):
    points = np.array(box((10, 12), (10, 12)))
    annotation = Annotation("1", 0, (Outline(-100 + 2.5 * 4 + offset, points, True),))
    np.testing.assert_array_equal(
        in_volume(annotation_region(annotation, SHAPE, AFFINE)), filled((10, 12), (10, 12), (k, k))
    )


def test_slices_that_run_downward():
    affine = AFFINE.copy()
    affine[2, 2:] = -2.5, -100 + 2.5 * 11
    region = annotation_region(boxes(0, (10, 12), (10, 12), [3]), SHAPE, affine)
    np.testing.assert_array_equal(in_volume(region), filled((10, 12), (10, 12), (8, 8)))


def test_nothing_enclosed():
    line = Annotation("1", 0, (outline(3, [(4, 4), (5, 4), (6, 4)]),))
    hole = Annotation("2", 0, (outline(3, box((4, 8), (4, 8)), inclusion=False),))
    for annotation in (line, hole):
        assert annotation_region(annotation, SHAPE, AFFINE) is None
    assert nodules(line, hole) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((12, box((3, 5), (3, 5))), r"z = -70 mm, expected -100 to -72.5 mm"),
        ((3, box((3, 5), (3, 29))), r"leaves the image of 40x30 pixels"),
        ((3, box((0, 5), (3, 5))), r"leaves the image"),
    ],
)
def test_outlines_that_do_not_fit_the_volume(change, message):
    with pytest.raises(InputError, match=r"^158.xml: nodule n1 has an outline at .*" + message):
        nodules(Annotation("n1", 0, (outline(*change),)))


def test_volume_must_be_axial():
    with pytest.raises(InputError, match="axial"):
        annotation_region(boxes(0, (3, 5), (3, 5), [1]), SHAPE, AFFINE[[0, 2, 1, 3]])


def test_half_of_the_readers_of_the_nodule():
    shifted = [boxes(reader, (10 + reader, 19 + reader), (10, 14), [4, 5]) for reader in range(4)]
    for count, expected in {1: (10, 19), 2: (10, 20), 3: (11, 20), 4: (11, 21)}.items():
        (found,) = nodules(*shifted[:count])
        assert found.readers == count
        np.testing.assert_array_equal(in_volume(found.region), filled(expected, (10, 14), (4, 5)))
        assert len(nodules(*shifted[:count], min_readers=3)) == (count >= 3)


def test_pieces_of_one_reader_are_one_vote():
    whole = boxes(0, (10, 20), (10, 14), [4])
    pieces = [boxes(1, (10, 13), (10, 14), [4]), boxes(1, (16, 20), (10, 14), [4])]
    narrow = boxes(2, (10, 11), (10, 14), [4])
    (found,) = nodules(whole, *pieces, narrow, min_readers=3)
    assert found.readers == 3
    expected = filled((10, 20), (10, 14), (4, 4))
    expected[14:16] = False
    np.testing.assert_array_equal(in_volume(found.region), expected)


def test_nodules_apart_stay_apart_in_the_order_of_slices():
    found = nodules(
        *[boxes(reader, (25, 28), (20, 23), [8, 9]) for reader in range(3)],
        *[boxes(reader, (10, 13), (10, 13), [2, 3]) for reader in range(4)],
        boxes(0, (30, 33), (4, 7), [5]),
    )
    assert [nodule.readers for nodule in found] == [4, 1, 3]
    assert [nodule.region.start for nodule in found] == [(10, 10, 2), (30, 4, 5), (25, 20, 8)]


def test_neighbors_by_one_reader_are_two_nodules():
    assert len(nodules(boxes(0, (10, 13), (10, 13), [2]), boxes(0, (13, 16), (10, 13), [2]))) == 2


def test_no_voxel_with_half_of_the_readers():
    # one nodule by the distance of its centers, but drawn in three different slices
    assert nodules(*[boxes(reader, (10, 20), (10, 20), [reader]) for reader in range(3)]) == []


def ball(center, radius):
    x, y, z = np.indices((40, 40, 40))
    return Region((0, 0, 0), (x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2 <= radius**2)


def test_one_nodule_by_distance_or_by_overlap():
    one = ball((12, 20, 20), 5)
    assert same_nodule(one, ball((20.5, 20, 20), 4), (1, 1, 1))
    assert not same_nodule(one, ball((22, 20, 20), 4), (1, 1, 1))
    # in one slice of two that lie far apart nothing is close; spacing counts
    flat, above = Region((5, 5, 5), np.ones((4, 4, 1), bool)), Region((5, 5, 6), np.ones((4, 4, 1), bool))
    assert same_nodule(flat, above, (1, 1, 1))
    assert not same_nodule(flat, above, (1, 1, 9))
    # a long nodule, of which the other reader drew the end
    rod, end = Region((0, 5, 5), np.ones((30, 2, 2), bool)), Region((29, 5, 5), np.ones((2, 2, 2), bool))
    assert same_nodule(rod, end, (1, 1, 1))
    assert same_nodule(end, rod, (1, 1, 1))


def test_window_may_lie_beside_the_region():
    region = Region((2, 3, 4), np.ones((2, 2, 2), bool))
    assert not region.within((4, 0, 0), (9, 9, 9)).any()
    assert not region.within((0, 0, 0), (2, 9, 9)).any()
    assert region.within((3, 4, 5), (9, 9, 9)).sum() == 1
    assert region.within((-5, -5, -5), (20, 20, 20))[7:9, 8:10, 9:11].sum() == 8
