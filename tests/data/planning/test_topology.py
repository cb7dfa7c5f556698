import pytest

from segxfer3d.data.planning.topology import (
    first_patch,
    kernels_along,
    median_shape,
    next_sizes,
    padded,
    plan_topology,
    target_spacing,
)

CUBE = (1.0, 1.0, 1.0)


def test_spacing_is_the_median():
    spacing, why = target_spacing([(50, 50, 40)] * 3, [(1, 1, 1), (1, 1, 2), (3, 1, 2)])
    assert spacing == (1, 1, 2)
    assert why == "median of the training cases"


def test_thick_slices_take_a_finer_spacing():
    shapes = [(256, 256, 12)] * 11
    spacings = [(1.5, 1.5, 10 if number > 1 else 5.0) for number in range(11)]
    spacing, why = target_spacing(shapes, spacings)
    assert spacing == (1.5, 1.5, 5.0)  # the 10th percentile; the median would be 10
    assert "z is over 3 times coarser" in why
    # but never finer than the others, and only where the slices are few
    assert target_spacing(shapes, [(1.5, 1.5, 10 if n > 1 else 0.5) for n in range(11)])[0] == (1.5, 1.5, 1.5)
    assert target_spacing([(256, 256, 100)] * 11, spacings)[0] == (1.5, 1.5, 10)


def test_shapes_are_counted_after_resampling():
    shapes, spacings = [(10, 20, 30), (11, 21, 31), (100, 20, 5)], [(1, 1, 1), (1, 1, 2), (1, 2, 1)]
    assert median_shape(shapes, spacings, (1, 1, 1)) == (11, 21, 30)
    assert median_shape(shapes[:2], spacings[:2], (1, 1, 1)) == (10.5, 20.5, 46)


def test_the_first_patch_is_a_cube_in_millimeters_within_the_data():
    assert first_patch(CUBE, (500, 500, 500)) == (256, 256, 256)
    assert first_patch((0.5, 0.5, 4.0), (999, 999, 999)) == (512, 512, 64)
    assert first_patch(CUBE, (35, 50.5, 36)) == (35, 51, 36)


def test_levels_of_a_cube():
    topology = plan_topology(CUBE, (128, 128, 128))
    assert topology.strides == ((1, 1, 1), *((2, 2, 2),) * 5)
    assert topology.kernels == ((3, 3, 3),) * 6
    assert topology.divisor == (32, 32, 32)
    assert topology.sizes((128, 128, 128))[-1] == (4, 4, 4)


def test_thick_slices_are_halved_later_and_convolved_in_the_plane_first():
    # 6 times coarser: 3 levels in the plane until 1.6 is within a factor of 2 of 6... and z has 16 voxels for two
    topology = plan_topology((0.8, 0.8, 5.0), (256, 256, 16))
    assert topology.strides == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1))
    assert topology.kernels == ((3, 3, 1), (3, 3, 1), *((3, 3, 3),) * 5)
    assert kernels_along((0.8, 0.8, 5.0), topology.strides) == topology.kernels


def test_few_slices_are_never_halved():
    topology = plan_topology((0.7, 0.7, 1.25), (48, 48, 6))
    assert topology.strides == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 1))
    assert topology.kernels == ((3, 3, 3),) * 4


def test_a_lone_axis_is_halved_only_while_it_is_long():
    assert plan_topology(CUBE, (8, 4, 4)).strides == ((1, 1, 1),)
    assert plan_topology(CUBE, (12, 4, 4)).strides == ((1, 1, 1), (2, 1, 1))


def test_sizes_around_a_patch():
    assert padded((35, 50, 36), (8, 8, 8)) == (40, 56, 40)
    assert next_sizes((30, 33, 3), (8, 8, 4)) == ((24, 32, 4), (32, 40, 4))


@pytest.mark.parametrize("side", [4, 7, 8, 20, 31, 100])
def test_padding_does_not_change_the_levels(side):
    patch = (side, 64, 64)
    topology = plan_topology(CUBE, patch)
    assert plan_topology(CUBE, padded(patch, topology.divisor)).divisor == topology.divisor
