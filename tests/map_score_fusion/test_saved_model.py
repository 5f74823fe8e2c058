import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from map_score_fusion import FusionWarning, ScoreFusion, ScoreTableError
from map_score_fusion import saved_model as module
from map_score_fusion.saved_model import SETTINGS, SavedModel, read_model, write_model

pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


@pytest.fixture(scope="module")
def fusion(made_table):
    table, _ = made_table(missing=0.1)
    table["constant"] = 1.0
    table.loc[0, "PSNR"] = np.inf
    with pytest.warns(FusionWarning):
        return ScoreFusion("mean-rank", higher_is_better={"own_metric": True, "SSIM": None}, random_state=4).fit(table)


def arrays_file(folder: Path) -> Path:
    [file] = folder.glob("arrays-*.safetensors")
    return file


def test_everything_comes_back(fusion, tmp_path):
    fusion.save(tmp_path / "model")
    loaded = ScoreFusion.load(tmp_path / "model")
    assert loaded.get_params() == fusion.get_params()
    pd.testing.assert_frame_equal(loaded.metric_summary_, fusion.metric_summary_)
    pd.testing.assert_frame_equal(loaded.missing_summary_, fusion.missing_summary_)
    assert loaded.effective_metrics_ == fusion.effective_metrics_
    assert loaded.n_fit_rows_ == fusion.n_fit_rows_
    assert loaded.n_features_in_ == 7
    np.testing.assert_array_equal(loaded.feature_names_in_, fusion.feature_names_in_)
    assert loaded.method_.log == fusion.method_.log


def test_a_model_of_an_array_stays_without_names(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 3))
    fusion = ScoreFusion("rrf", higher_is_better=np.array([True, False, True])).fit(values)
    fusion.save(tmp_path / "model")
    loaded = ScoreFusion.load(tmp_path / "model")
    assert not hasattr(loaded, "feature_names_in_")
    assert loaded.higher_is_better == [True, False, True]
    assert len(loaded.missing_summary_) == 0
    np.testing.assert_array_equal(loaded.predict(values), fusion.predict(values))


def test_the_folder_is_safetensors_and_json_and_no_more(fusion, tmp_path):
    fusion.save(tmp_path)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".safetensors"]
    content = json.loads((tmp_path / SETTINGS).read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("map-score-fusion model", 2)
    assert content["settings"]["method"] == "mean-rank"
    assert load_file(arrays_file(tmp_path))["columns.signs"].tolist() == [1, 1, -1, -1, 1, 1, 0]


def test_saving_again_replaces_the_model(fusion, tmp_path, made_table):
    fusion.save(tmp_path)
    first = arrays_file(tmp_path)
    table, _ = made_table(rows=30)
    other = ScoreFusion("mean-scaled", higher_is_better=True).fit(table.to_numpy())
    other.save(tmp_path)
    assert not first.exists()
    assert ScoreFusion.load(tmp_path).method == "mean-scaled"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_save_that_is_cut_short_leaves_the_old_model(fusion, tmp_path, monkeypatch, made_table, fails_at):
    fusion.save(tmp_path)
    table, _ = made_table(rows=30)
    other = ScoreFusion("mean-scaled", higher_is_better=True).fit(table.to_numpy())
    replaced = []

    def fail(file, content):
        replaced.append(file)
        if len(replaced) == fails_at:
            raise OSError("no space left on device")
        replace(file, content)

    replace = module._replace
    monkeypatch.setattr(module, "_replace", fail)
    with pytest.raises(OSError, match="no space left"):
        other.save(tmp_path)
    assert ScoreFusion.load(tmp_path).method == "mean-rank"


def test_what_was_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(Exception, match="not fitted"):
        ScoreFusion().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_of_other_things_is_left_alone(fusion, tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(ScoreTableError, match="holds other things and no model"):
        fusion.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(ScoreTableError, match=r"holiday\.jpg: is a file; a model is saved as a folder"):
        fusion.save(tmp_path / "holiday.jpg")


def edit(folder: Path, **changes):
    file = folder / SETTINGS
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def test_damage_is_named(fusion, tmp_path):
    with pytest.raises(ScoreTableError, match="holds no model"):
        ScoreFusion.load(tmp_path / "none")

    def fresh(name):
        fusion.save(tmp_path / name)
        return tmp_path / name

    newer = fresh("newer")
    edit(newer, version=3)
    with pytest.raises(ScoreTableError, match=r"written in version 3 of the format; .* reads version 2\. Fit the"):
        ScoreFusion.load(newer)
    other = fresh("other")
    edit(other, format="something")
    with pytest.raises(ScoreTableError, match="its format is 'something'"):
        ScoreFusion.load(other)
    cut = fresh("cut")
    (cut / SETTINGS).write_text((cut / SETTINGS).read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(ScoreTableError, match=r"model\.json: is damaged"):
        ScoreFusion.load(cut)
    bits = fresh("bits")
    content = bytearray(arrays_file(bits).read_bytes())
    content[-1] ^= 1
    arrays_file(bits).write_bytes(content)
    with pytest.raises(ScoreTableError, match="is damaged; its SHA-256 is not the one"):
        ScoreFusion.load(bits)
    lost = fresh("lost")
    arrays_file(lost).unlink()
    with pytest.raises(ScoreTableError, match=r"is missing, and model\.json names it"):
        ScoreFusion.load(lost)
    outside = fresh("outside")
    edit(outside, arrays="../bits/model.json")
    with pytest.raises(ScoreTableError, match=r"model\.json: is damaged, or no model .*name of the arrays"):
        ScoreFusion.load(outside)
    listed = fresh("listed")
    edit(listed, settings=[1])
    with pytest.raises(ScoreTableError, match=r"model\.json: is damaged, or no model .*settings"):
        ScoreFusion.load(listed)
    lacking = fresh("lacking")
    settings = json.loads((lacking / SETTINGS).read_text(encoding="utf-8"))["settings"]
    del settings["metrics"]
    edit(lacking, settings=settings)
    with pytest.raises(ScoreTableError, match=r"the model lacks something .*'metrics'"):
        ScoreFusion.load(lacking)
    unknown = fresh("unknown")
    settings = json.loads((unknown / SETTINGS).read_text(encoding="utf-8"))["settings"]
    edit(unknown, settings={**settings, "method": "later-method"})
    with pytest.raises(ScoreTableError, match=r"method is 'later-method'; it must be one of .*mean-rank"):
        ScoreFusion.load(unknown)


def test_arrays_are_kept_bit_for_bit_also_transposed(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3).T,
        "b": np.array([np.nan, -0.0, np.inf]),
        "c": np.array([], dtype=np.int64),
    }
    write_model(tmp_path / "m", SavedModel(arrays, {"one": 1, "text": "ω̃"}))
    read = read_model(tmp_path / "m")
    assert read.settings == {"one": 1, "text": "ω̃"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        assert read.arrays[name].dtype == array.dtype


def test_settings_that_json_cannot_say_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_model(tmp_path / "m", SavedModel({}, {"bad": float("nan")}))
    assert not (tmp_path / "m").exists()
