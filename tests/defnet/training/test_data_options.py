"""What `[[data]]` says of comparing and weighing images reaches the loss, and what cannot be is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from defnet import DataConfig, DataError, DataRoots, DEFNet, TrainConfig, overall_loss, train
from defnet.config.versions import differences, migrate
from defnet.data.mixture import load_mixture
from defnet.data.table import ImageTable, rating_deviations
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.model.initial_model import build_model
from defnet.training.optimizer import freeze
from defnet.training.reporter import Silent
from defnet.training.views import RunViews
from iqa_datasets import IQADataset
from iqa_datasets.testing import make_fake

MakeConfig = Callable[..., TrainConfig]
NEW = ("pairs", "per_content", "pair_weight", "quality_evidence", "uncertain_ratings")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> DataRoots:
    """Photographs of their own, and ten degraded copies each of four, of which two are trained on."""
    folder = tmp_path_factory.mktemp("data")
    make_fake("live-challenge", folder, images=24)
    return DataRoots(folder, folders={"copies": make_fake("folder", folder, images=40).root})


@pytest.fixture(scope="module")
def configured(make_config: MakeConfig) -> Callable[..., TrainConfig]:
    """A mixture of both, with options of the second."""

    def make(**options: Any) -> TrainConfig:
        return make_config(
            data=[
                {"name": "live-challenge", "session": 1, "batch_size": 4},
                {"name": "copies", "session": "seeded-1", "batch_size": 4, **options},
            ]
        )

    return make


def terms_of(config: TrainConfig, places: DataRoots, model: DEFNet, rows: list[int] | None = None) -> dict[str, float]:
    """The terms of the loss of all training images, or of some, whose features are random."""
    table, _ = load_mixture(config, places)
    generator = torch.Generator().manual_seed(0)
    local = torch.randn(len(table), 2, model.backbone.image.feature_dim, generator=generator)
    chosen = np.arange(len(table)) if rows is None else np.array(rows)
    with torch.no_grad():
        prediction = model.predict_from_features(local[chosen], local[chosen, 0])
        weights: Any = {"quality": 1.0, "scene": 1.0, "distortion": 1.0}
        _, terms = overall_loss(prediction, table.targets(chosen), config.objective, weights)
    return {name: term.item() for name, term in terms.items()}


@pytest.fixture(scope="module")
def model(make_model: Callable[..., DEFNet]) -> DEFNet:
    return make_model().eval()


def test_the_defaults_are_what_was(
    configured: Callable[..., TrainConfig], places: DataRoots, model: DEFNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, and so is a configuration that was written before the fields were."""
    config = configured()
    with_columns = terms_of(config, places, model)
    monkeypatch.setattr(
        ImageTable,
        "targets",
        lambda table, rows: Targets(
            table.quality[rows], table.scenes[rows], table.distortion[rows], table.dataset[rows]
        ),
    )
    assert terms_of(config, places, model) == with_columns
    stored = json.loads(config.model_dump_json())
    for source in stored["data"]:
        for name in NEW:
            del source[name]
    found = TrainConfig.model_validate(migrate(stored))
    assert found == config
    assert differences(found, config) == []
    assert differences(found, configured(pair_weight=0.5)) == ["data.1.pair_weight is 1.0 there and 0.5 here"]


def test_only_the_terms_that_a_field_is_about_change(
    configured: Callable[..., TrainConfig], places: DataRoots, model: DEFNet
) -> None:
    plain = terms_of(configured(), places, model)
    evidence = {"cross_quality", "cross", "fusion_quality", "fusion", "total"}
    pairs = {"fidelity_quality", "multitask", "total"}
    for options, about in (
        ({"pairs": "content", "per_content": 2}, pairs),
        ({"per_content": 2}, set()),
        ({"pair_weight": 0.25}, pairs),
        ({"quality_evidence": 0.25}, evidence),
    ):
        terms = terms_of(configured(**options), places, model)
        assert {name for name in plain if terms[name] != plain[name]} == about, options
    changed = terms_of(configured(uncertain_ratings=True), places, model)
    assert changed["fidelity_quality"] != plain["fidelity_quality"]
    assert changed["fidelity_scene"] == plain["fidelity_scene"]


def test_pairs_of_one_content_alone(configured: Callable[..., TrainConfig], places: DataRoots, model: DEFNet) -> None:
    config = configured(pairs="content", per_content=2)
    table, _ = load_mixture(config, places)
    own = table.rows_of(1)
    assert table.content is not None
    contents = [own[table.content[own] == number].tolist() for number in table.content[own].unique().tolist()]
    assert len(contents) > 1
    # Photographs without copies stay compared with each other.
    assert terms_of(config, places, model, [0, 1])["fidelity_quality"] > 0
    # Two of one content each: the mean of two pairs, and not of six.
    first, second = contents[0][:2], contents[1][:2]
    both = terms_of(config, places, model, first + second)["fidelity_quality"]
    alone = [terms_of(config, places, model, pair)["fidelity_quality"] for pair in (first, second)]
    assert both == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert terms_of(config, places, model, [first[0], second[0]])["fidelity_quality"] == 0
    assert terms_of(configured(), places, model, [first[0], second[0]])["fidelity_quality"] > 0


def test_weights_of_pairs_and_of_evidence(
    configured: Callable[..., TrainConfig], places: DataRoots, model: DEFNet
) -> None:
    table, _ = load_mixture(configured(), places)
    one, other = (table.rows_of(number)[:3].tolist() for number in (0, 1))
    each = [terms_of(configured(), places, model, rows) for rows in (one, other)]
    for name, field in (
        ("fidelity_quality", "pair_weight"),
        ("cross_quality", "quality_evidence"),
        ("fusion_quality", "quality_evidence"),
    ):
        for weight in (0.0, 0.5, 3.0):
            found = terms_of(configured(**{field: weight}), places, model, one + other)[name]
            expected = (each[0][name] + weight * each[1][name]) / (1 + weight)
            assert found == pytest.approx(expected, rel=1e-5), (name, weight)


def test_deviations_are_brought_to_the_scale_of_quality(
    configured: Callable[..., TrainConfig], places: DataRoots
) -> None:
    sources = [source.model_copy(update={"uncertain_ratings": True}) for source in configured().data]
    datasets = [places.load_source(source).part("train") for source in sources]
    table = ImageTable.from_datasets(datasets, ["a", "b"], sources)
    assert table.quality_std is not None
    # LIVE In the Wild is rated from 0 to 100, the copies from 1 to 5.
    for number, factor in enumerate((4 / 100, 1)):
        expected = [record.mos_std * factor for record in datasets[number] if record.mos_std is not None]
        assert table.quality_std[table.rows_of(number)].tolist() == pytest.approx(expected)
    table, validation = load_mixture(configured(uncertain_ratings=True), places)
    assert validation.quality_std is None
    assert table.quality_std is not None
    assert not table.quality_std[table.rows_of(0)].any()
    assert table.quality_std[table.rows_of(1)].all()
    rows = np.array([20, 3])
    for name in ("content", "group", "quality_std", "pair_weight", "quality_evidence"):
        assert torch.equal(getattr(table.select(rows), name), getattr(table, name)[rows]), name


def test_deviations_that_are_not_there_are_missed(places: DataRoots) -> None:
    dataset = places.load("copies")
    for missing, message in (
        (slice(None), "mine: uncertain_ratings takes the published deviations of the ratings, and this data set has"),
        (
            slice(2, 5),
            r"has no published deviation of its rating, .* \(3 of the 40 training images of mine have none\)",
        ),
    ):
        records = dataset.records.copy()
        records.loc[records.index[missing], "mos_std"] = np.nan
        with pytest.raises(DataError, match=message):
            rating_deviations(IQADataset(dataset.card, dataset.root, records), "mine")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_content": 3}, "per_content = 3 images of one content must divide batch_size = 4"),
        ({"per_content": 8}, "per_content = 8 images of one content must divide batch_size = 4"),
        ({"pairs": "content"}, "per_content = 1 draws them regardless of it: there would be no pairs"),
        ({"pair_weight": -1.0}, "greater than or equal to 0"),
        ({"quality_evidence": float("inf")}, "finite number"),
        ({"per_content": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(name="a", session=1, batch_size=4, **options)


def test_a_score_that_nothing_teaches_is_refused(make_config: MakeConfig) -> None:
    source = {"name": "live-challenge", "session": 1, "batch_size": 4}
    nothing = [source | {"quality_evidence": 0.0}]
    with pytest.raises(ValidationError, match=r"nothing teaches where every quality_evidence in data is 0"):
        make_config(data=nothing)
    assert make_config(data=nothing, model={"score": "expected"}).score_from == "expected"
    assert make_config(data=[*nothing, source | {"name": "b"}]).score_from == "fusion"
    with pytest.raises(ValidationError, match=r"nothing teaches where every pair_weight in data is 0"):
        make_config(data=[source | {"pair_weight": 0.0}], model={"score": "expected"})
    assert make_config(data=[source | {"pair_weight": 0.0}]).score_from == "fusion"


def test_a_run_with_all_of_it_and_one_that_was_stopped_and_gone_on_with(
    configured: Callable[..., TrainConfig], places: DataRoots, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from defnet.training.loop import Training

    config = configured(pairs="content", per_content=2, pair_weight=0.5, quality_evidence=0.25, uncertain_ratings=True)
    train(config, places, tmp_path / "whole", cache=tmp_path / "pools")
    assert Training(config, places, tmp_path / "parts", cache=tmp_path / "pools").run(stop_after_steps=3) is None
    train(config, places, tmp_path / "parts", cache=tmp_path / "pools")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_each_data_set_has_its_own_number_of_crops_in_the_pool(
    make_config: MakeConfig, places: DataRoots, tmp_path: Path
) -> None:
    def pool_of(**sizes: int) -> ViewPool:
        """With crops.pool_size, and those of the data sets by letter."""
        data = [
            # Copies before and after, so that rows of the two sizes are not in two blocks.
            {"name": "a", "dataset": "folder", "session": "seeded-1", "batch_size": 4},
            {"name": "live-challenge", "session": 1, "batch_size": 4},
            {"name": "b", "dataset": "folder", "session": "seeded-1", "batch_size": 4},
        ]
        for entry in data:
            if (letter := entry["name"][0]) in sizes:
                entry["pool_size"] = sizes[letter]
        config = make_config(data=data, crops={"train_source": "pool", "pool_size": sizes["all"]})
        folder = places.folders["copies"]
        table, _ = load_mixture(config, DataRoots(places.root, folders={"a": folder, "b": folder}))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # one trunk, whose features pools share
            model = build_model(config)
        freeze(model, config)
        batches = RunViews(config, model, tmp_path, Silent()).training_batches(table, standardize=False)
        assert len(batches[0][0]) == 12
        return batches._pool

    mixed = pool_of(all=6, l=4)
    sizes = [mixed.counts(row)[0] for row in range(len(mixed))]
    assert sorted(set(sizes)) == [4, 6]
    assert (sizes[0], sizes[-1]) == (6, 6)
    of_four, of_six = pool_of(all=4), pool_of(all=6)
    for row, size in enumerate(sizes):
        alone = of_four if size == 4 else of_six
        assert mixed.files[row] == alone.files[row]  # nothing is made twice
        assert torch.equal(mixed.local(row), alone.local(row))
