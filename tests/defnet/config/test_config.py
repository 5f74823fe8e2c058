"""Configurations: defaults, ranges, and errors that name the file and the field."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from defnet import (
    BackboneConfig,
    ConfigError,
    CropsConfig,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TrainConfig,
)
from defnet.config.toml_files import load_train_config
from iqa_datasets import available

MINIMAL = '[[data]]\nname = "live-challenge"\nsession = 1\nbatch_size = 4\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_papers_decisions() -> None:
    """As design decisions on the paper's open points have them; a change here changes what is reproduced."""
    backbone, model, objective = BackboneConfig(), ModelConfig(), ObjectiveConfig()
    crops, optimizer = CropsConfig(), OptimizerConfig()
    config = TrainConfig(data=(DataConfig(name="live-challenge", session=1, batch_size=4),))
    assert (backbone.vocabulary, backbone.train_logit_scale, backbone.logit_scale) == ("defnet", True, None)
    assert (backbone.freeze_trunk, backbone.freeze_text) == (False, False)
    assert model.tasks == ("quality", "scene", "distortion")
    assert (model.features, model.averaging, model.train_crops) == ("marginals", "probabilities", 4)
    assert (objective.thurstone, objective.pair_reduction) == ("sqrt2", "dataset")
    assert (objective.weighting, objective.weighting_temperature) == ("dynamic", 2.0)
    assert (objective.lambda1, objective.lambda2) == (0.1, 0.1)
    assert (objective.cross, objective.fusion) == (True, True)
    assert (crops.train_source, crops.flip) == ("images", True)
    assert (crops.test_plan, crops.test_count) == ("grid", 15)
    assert optimizer.learning_rate == 5e-6
    assert (config.epochs, config.steps_per_epoch, config.precision) == (80, 200, "auto")


def test_a_file_gives_what_it_says_and_defaults_for_the_rest(tmp_path: Path) -> None:
    path = write(
        tmp_path, MINIMAL + "exclude = ['Images/333.bmp']\n[model]\nfeatures = 'embedding'\n[objective]\nlambda1 = 0\n"
    )
    config = TrainConfig.from_toml(path)
    assert config.data == (DataConfig(name="live-challenge", session=1, batch_size=4, exclude=("Images/333.bmp",)),)
    assert config.model == ModelConfig(features="embedding")
    assert config.objective == ObjectiveConfig(lambda1=0)
    assert config.optimizer == OptimizerConfig()
    assert load_train_config(str(path)) == config


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MINIMAL + "\n[model]\ntasks = ['scene']\n", "model"),
        (MINIMAL + "\n[model]\ntasks = ['quality', 'quality']\n", "model"),
        (MINIMAL + "\n[model]\ntasks = ['quality', 'weather']\n", "model.tasks.1"),
        (MINIMAL + "\n[model]\ninitial_alpha = 1.0\n", "model.initial_alpha"),
        (MINIMAL + "\n[optimizer]\nlearning_rate = 0\n", "optimizer.learning_rate"),
        (MINIMAL + "\n[optimizer]\nlearning_rate = inf\n", "optimizer.learning_rate"),
        (MINIMAL + "\n[optimizer]\nlearning_rate = nan\n", "optimizer.learning_rate"),
        (MINIMAL + "\n[objective]\nlambda2 = -0.1\n", "objective.lambda2"),
        (MINIMAL + "\n[objective]\nthurstone = 'sqrt3'\n", "objective.thurstone"),
        (MINIMAL + "\n[crops]\npool_size = 3\n", "crops.pool_size"),
        (MINIMAL + "\n[crops]\ntest_count = 0\n", "crops.test_count"),
        ("epochs = 0\n" + MINIMAL, "epochs"),
        ("epochs = 'many'\n" + MINIMAL, "epochs"),
        ("epochs = 3\n", "data"),
        ("data = []\n", "data"),
        ('[[data]]\nname = "live-challenge"\nsession = 1\n', "data.0.batch_size"),
        ('[[data]]\nname = "live-challenge"\nsession = 0\nbatch_size = 4\n', "data.0.session"),
        ('[[data]]\nname = "live-challenge"\nsession = "seed-1"\nbatch_size = 4\n', "data.0.session"),
        ('[[data]]\nname = "live-challenge"\nsession = true\nbatch_size = 4\n', "data.0.session"),
        ('[[data]]\nname = "a/b"\nsession = 1\nbatch_size = 4\n', "data.0.name"),
        (MINIMAL + "\n[backbone.lite]\nstage = [0]\n", "backbone.lite"),
        (MINIMAL + "\n[backbone.lite]\nstages = [1, 0]\n", "backbone.lite"),
        (MINIMAL + "\n[backbone.lite]\nstages = 3\n", "backbone.lite"),
        (MINIMAL + "\n[backbone.lite]\nfreeze_trunk = true\n", "backbone.lite"),
        (MINIMAL + "\n[backbone]\nlogit_scale = 5.0\n", "backbone.logit_scale"),
        (MINIMAL + "\n[optimizer]\nbetas = [0.9, 1.0]\n", "optimizer.betas.1"),
        (MINIMAL + "\n[model]\ntrain_crops = 40\n[crops]\ntrain_source = 'pool'\npool_size = 32\n", "(whole file)"),
        ("epochs = 1\nsteps_per_epoch = 5\n" + MINIMAL + "\n[optimizer]\nwarmup_steps = 5\n", "(whole file)"),
        ("version = 99\n" + MINIMAL, "version"),
        (MINIMAL + MINIMAL, "(whole file)"),
    ],
)
def test_errors_name_the_file_and_the_field(tmp_path: Path, text: str, field: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_toml(path)
    first, *others = str(caught.value).splitlines()
    assert first == f"{path}: not a valid training configuration:"
    assert [line for line in others if line.startswith(f"  {field}: ")], others


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("epoch = 3\n" + MINIMAL, "epoch"),
        (MINIMAL + "weight = 1\n", "data.0.weight"),
        (MINIMAL + "\n[model]\ncrops = 4\n", "model.crops"),
        (MINIMAL + "\n[objective]\nlambda3 = 1\n", "objective.lambda3"),
        (MINIMAL + "\n[backbone]\nlr = 1\n", "backbone.lr"),
        (MINIMAL + "\n[crops]\nsize = 1\n", "crops.size"),
        (MINIMAL + "\n[optimizer]\nmomentum = 1\n", "optimizer.momentum"),
    ],
)
def test_unknown_fields_are_refused(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.toml: .*\n  {field}: Extra inputs are not permitted"):
        TrainConfig.from_toml(write(tmp_path, text))


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_toml(write(tmp_path, "epochs = 0\nepoch = 3\n" + MINIMAL + "\n[objective]\ntau = -1\n"))
    assert {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]} == {
        "epochs",
        "epoch",
        "objective.tau",
    }


def test_files_that_are_not_toml(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        TrainConfig.from_toml(missing)
    with pytest.raises(ConfigError, match=r"mine\.toml: not valid TOML: .*line 1"):
        TrainConfig.from_toml(write(tmp_path, "epochs = = 3"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml: not valid TOML"):
        TrainConfig.from_toml(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        TrainConfig.from_toml(tmp_path)


def shipped() -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_train_config("no such configuration")
    names = str(caught.value).rpartition("(")[2].rstrip(")")
    return names.split(", ")


def test_shipped_configurations_load_and_name_known_data_sets() -> None:
    assert "lite" in shipped()
    for name in shipped():
        config = load_train_config(name)
        assert {source.dataset or source.name for source in config.data} <= set(available())


def test_shipped_lite_says_how_it_was_trained() -> None:
    config = load_train_config("lite")
    assert config.backbone.name == "lite"
    [source] = config.data
    assert (source.name, source.session) == ("live-challenge", 1)
    # The same picture as 246.bmp, which lies in another part.
    assert source.exclude == ("Images/333.bmp",)
    assert config.objective.cross
    assert config.objective.fusion


def test_a_configuration_goes_through_json_unchanged() -> None:
    config = TrainConfig(
        data=(DataConfig(name="live-challenge", session=2, batch_size=3, exclude=("a.bmp",)),),
        backbone=BackboneConfig(lite={"stages": [0, 1]}, logit_scale=2.5),
        model=ModelConfig(tasks=("quality", "scene")),
    )
    assert TrainConfig.model_validate(json.loads(config.model_dump_json())) == config


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ObjectiveConfig().lambda1 = 2


@pytest.mark.parametrize("session", [1, 10, "official", "seeded-1", "seeded-12:0.8/0/0.2"])
def test_every_kind_of_session(session: int | str) -> None:
    assert DataConfig(name="a", session=session, batch_size=1).session == session


def test_what_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    text = MINIMAL + "\n[model]\ntrain_crops = 40\n[crops]\ntrain_source = 'pool'\n"
    with pytest.raises(ConfigError, match=r"train_crops = 40 .* cannot be drawn from a pool of crops\.pool_size = 32$"):
        TrainConfig.from_toml(write(tmp_path, text))
    with pytest.raises(ConfigError, match=r"backbone\.lite: unknown option 'stage'; there are stages, embed_dim, "):
        TrainConfig.from_toml(write(tmp_path, MINIMAL + "\n[backbone.lite]\nstage = [0]\n"))
    small = MINIMAL + "pool_size = 5\n[model]\ntrain_crops = 6\n"
    with pytest.raises(ConfigError, match=r"train_crops = 6 .* from a pool of live-challenge's pool_size = 5$"):
        TrainConfig.from_toml(write(tmp_path, small + "[crops]\ntrain_source = 'pool'\n"))
    with pytest.raises(ConfigError, match=r"pool_size = 5 of .* none with crops\.train_source = 'images'$"):
        TrainConfig.from_toml(write(tmp_path, small))
    # Forty crops may be cut afresh in every step.
    assert TrainConfig.from_toml(write(tmp_path, MINIMAL + "\n[model]\ntrain_crops = 40\n")).model.train_crops == 40


def test_a_path_in_a_file_starts_from_that_file(tmp_path: Path) -> None:
    source = '[[data]]\nname = "mine"\npath = "{}"\nsession = "seeded-1"\nbatch_size = 4\n'
    (tmp_path / "here").mkdir()
    [found] = TrainConfig.from_toml(write(tmp_path / "here", source.format("../photos"))).data
    assert found.path == str(tmp_path / "photos")
    [found] = TrainConfig.from_toml(write(tmp_path / "here", source.format(tmp_path / "elsewhere"))).data
    assert found.path == str(tmp_path / "elsewhere")


def test_evidence_counts_in_full_up_to_the_training_crops_unless_said_otherwise() -> None:
    assert ModelConfig(train_crops=3).full_evidence == 3
    assert ModelConfig(train_crops=3, evidence_crops=15).full_evidence == 15


def test_scales_go_from_small_to_large() -> None:
    assert CropsConfig().scales is None
    assert CropsConfig.model_validate({"scales": [0.5, 1]}).scales == (0.5, 1.0)
    for scales, message in (([1.0, 0.5], "from the smallest factor to the largest"), ([0, 1], "greater than 0")):
        with pytest.raises(ValidationError, match=message):
            CropsConfig.model_validate({"scales": scales})
