"""Configurations that commands make of a trained model's."""

import pytest

from defnet.config.recipes import going_on, source_of
from defnet.model.model_file import read_info
from defnet.model.shipped import SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_going_on_keeps_the_network_and_chooses_the_epoch_by_validation(name: str) -> None:
    trained = read_info(name).config
    found = going_on(name, trained, source_of("mine", "seeded-1", 200), 200, epochs=3, seed=7)
    assert found.start is not None
    assert found.start.model == name
    assert (found.model, found.objective, found.crops) == (trained.model, trained.objective, trained.crops)
    assert found.select_by == "srcc+plcc"
    assert [source.name for source in found.data] == ["mine"]
    assert (found.epochs, found.steps_per_epoch, found.seed) == (3, 13, 7)
    assert found.optimizer.learning_rate == trained.optimizer.learning_rate / 10
