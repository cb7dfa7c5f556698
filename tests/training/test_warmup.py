"""The decoder alone first: what is frozen when, and what stays frozen."""

import pytest
from ignite.engine import Engine, Events

from segxfer3d.training.warmup import DecoderWarmup
from tests.pretexts.stand_ins import network


def frozen_by_epoch(module, epochs, start=0):
    course = []
    engine = Engine(lambda *_: None)
    DecoderWarmup(module, epochs).attach(engine)
    engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", start))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: course.append(sorted(module.frozen)))
    engine.run([0], max_epochs=4)
    return course


def test_the_encoder_waits():
    module = network()
    assert frozen_by_epoch(module, 2) == [["encoder"], ["encoder"], [], []]
    assert all(parameter.requires_grad for parameter in module.encoder.parameters())
    assert frozen_by_epoch(network(), 0) == [[]] * 4


def test_a_run_that_goes_on_behind_it():
    assert frozen_by_epoch(network(), 2, start=3) == [[]]


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_what_was_frozen_stays_frozen(part):
    module = network()
    module.freeze([part])
    expected = [sorted({part, "encoder"})] * 2 + [[part]] * 2
    assert frozen_by_epoch(module, 2) == expected


def test_only_a_segmentation_network_has_an_encoder_to_freeze():
    with pytest.raises(TypeError, match="needs a SegmentationNetwork"):
        frozen_by_epoch(network().encoder, 1)
