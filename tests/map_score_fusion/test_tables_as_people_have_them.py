"""Tables of other shapes and writings than a comma-separated row an image: read, or refused with what was seen."""

import gzip

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from map_score_fusion import ScoreFusion, ScoreTableError, read_pieces, read_tables, sample_rows
from map_score_fusion.cli import app

METRICS = ["psnr", "ssim", "lpips", "gmsd"]
pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


@pytest.fixture
def table(rated_table):
    table = rated_table(images=40).drop(columns=["level", "mos_std"])
    table["image"] = [f"img{row:02}.png" for row in range(len(table))]
    table.loc[7, "psnr"] = 33.0
    return table


def fit(*arguments, code=0):
    result = CliRunner().invoke(app, ["fit", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def metrics_of(folder):
    return list(ScoreFusion.load(folder).metric_summary_.index)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators_and_decimal_commas(table, tmp_path, delimiter, decimal):
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False, sep=delimiter, decimal=decimal)
    pd.testing.assert_frame_equal(pd.concat(read_pieces(path, 7)), table, check_index_type=False)
    predicted = pd.concat(read_pieces(path, numbers=METRICS))
    np.testing.assert_array_equal(predicted[METRICS], table[METRICS])
    assert list(predicted["image"]) == list(table["image"])


def test_a_mark_of_bytes_and_compression_change_nothing(table, tmp_path):
    path = tmp_path / "scores.csv"
    table.to_csv(path, index=False, sep=";", encoding="utf-8-sig")
    assert list(next(read_pieces(path)).columns) == list(table.columns)
    packed = tmp_path / "scores.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(pd.concat(read_pieces(packed)), table, check_index_type=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.png,30.1,0.93\nb.png,31.2,0.95\n", "has no header: its first line is a.png, 30.1, 0.93"),
        ("a.png;30,1;0,93\nb.png;31,2;0,95\n", "has no header: its first line is a.png, 30,1, 0,93"),
        ("image;psnr;ssim\na;31,2;0.93\nb;30,1;0.9\n", "some numbers have a decimal comma and others a point"),
        ("image;bits\na;1,234\nb;2,345\n", "column 'bits' holds '1,234', which may be 1.234 or 1234"),
        ("image,psnr\na,1,2\n", "line 2 has 3 fields, the header 2 (image, psnr)"),
        ("", "the file is empty"),
        ("image,psnr,ssim\n", "holds no row"),
        ("image,psnr,psnr\na,1,2\n", "two columns are named 'psnr'"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "scores.csv"
    path.write_text(content)
    result = fit(path, "--out", tmp_path / "m", code=2)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_an_empty_table_is_one_line_for_every_command(table, tmp_path):
    full, empty = tmp_path / "full.csv", tmp_path / "empty.csv"
    table.to_csv(full, index=False)
    table.head(0).to_csv(empty, index=False)
    fit(full, "--out", tmp_path / "m")
    for arguments in (["predict"], ["report"], ["evaluate", "--mos", "mos"]):
        command, *options = arguments
        result = CliRunner().invoke(app, [command, str(tmp_path / "m"), str(empty), *options])
        assert result.exit_code == 2, result.exception
        assert "empty.csv: holds no row" in result.stderr
        assert result.stderr.count("\n") == 1


def test_thousands_beside_plain_decimals_are_decimals(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("image;psnr;ssim\na;31,250;0,930\nb;30,125;0,9\n")
    assert next(read_pieces(path))["psnr"].tolist() == [31.25, 30.125]


@pytest.mark.parametrize("names", [("metric", "score"), ("name", "value"), ("metric", "result")])
def test_a_long_table(table, tmp_path, names):
    path = tmp_path / "long.csv"
    metric, score = names
    long = table.melt(["image", "mos"], METRICS, metric, score).sample(frac=1, random_state=0)
    long.to_csv(path, index=False)
    result = fit(path, "--out", tmp_path / "m")
    assert f"read as a row a score: images in 'image', metrics in '{metric}', scores in '{score}'" in result.stderr
    assert sorted(metrics_of(tmp_path / "m")) == sorted(METRICS)
    whole = read_tables([path]).set_index("image").sort_index()
    np.testing.assert_allclose(whole[METRICS], table.set_index("image").sort_index()[METRICS])
    assert list(whole["mos"]) == list(table.set_index("image").sort_index()["mos"])
    predicted = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), str(path)])
    assert predicted.exit_code == 0, predicted.stderr
    assert len(predicted.stdout.splitlines()) == 41


def test_a_long_table_of_own_metrics_by_its_names(table, tmp_path):
    path = tmp_path / "long.csv"
    own = table.rename(columns={"psnr": "mine", "ssim": "yours", "lpips": "ours", "gmsd": "theirs"})
    own.melt(["image"], ["mine", "yours", "ours", "theirs"], "metric", "score").to_csv(
        path, index=False, decimal=",", sep=";"
    )
    assert set(read_tables([path]).columns) == {"image", "mine", "yours", "ours", "theirs"}


def test_a_long_table_with_two_scores_of_one_metric(table, tmp_path):
    path = tmp_path / "long.csv"
    long = table.melt(["image"], METRICS, "metric", "score")
    pd.concat([long, long.tail(1)]).to_csv(path, index=False)
    assert "no column names the image" in fit(path, "--out", tmp_path / "m", code=2).stderr


@pytest.mark.parametrize("images", [None, range(1, 41)])
def test_a_transposed_table(table, tmp_path, images):
    path = tmp_path / "transposed.csv"
    turned = table.set_index("image")[METRICS].T
    if images is not None:
        turned.columns = list(images)
    turned.to_csv(path, index_label="metric")
    result = fit(path, "--out", tmp_path / "m")
    assert "read as a row a metric, named in 'metric', and a column an image" in result.stderr
    assert metrics_of(tmp_path / "m") == METRICS
    whole = read_tables([path])
    np.testing.assert_allclose(whole[METRICS], table[METRICS])
    assert len(sample_rows(path, 7, 0)) == 7


def test_a_column_of_whole_numbers_with_a_gap_is_no_metric(table, tmp_path):
    """Once the gap made floats of it, and the floats a metric of 10.7 %."""
    path = tmp_path / "scores.csv"
    table["level"] = np.arange(40) % 5 + 1.0
    table.loc[3, "level"] = np.nan
    table.to_csv(path, index=False)
    result = fit(path, "--out", tmp_path / "m")
    assert "not used as scores (whole numbers and no known metric): level" in result.stderr
    assert metrics_of(tmp_path / "m") == METRICS
    fit(path, "--out", tmp_path / "m", "--metrics", "psnr,ssim,level")
    assert metrics_of(tmp_path / "m") == ["psnr", "ssim", "level"]


@pytest.mark.parametrize("second", ["quality_eq5", "expected_quality"])
def test_what_defnet_writes_beside_its_quality_is_no_metric(table, tmp_path, second):
    generator = np.random.default_rng(0)
    quality = table["mos"] + 0.1 * generator.normal(size=40)
    written = pd.DataFrame(
        {
            "path": table["image"], "quality": quality, second: quality + 0.1, "aleatoric_std": 0.3 + 0.01 * quality,
            "epistemic_std": 0.2 + 0.01 * quality, "lower": quality - 0.8, "upper": quality + 0.8, "scene": "animal",
            "scene_probability": generator.uniform(size=40), "distortion": "blur",
            "distortion_probability": generator.uniform(size=40), "crops": 5, "warnings": "",
        }
    )  # fmt: skip
    path = tmp_path / "scores.csv"
    written.join(table[["psnr", "ssim"]]).to_csv(path, index=False)
    result = fit(path, "--out", tmp_path / "m")
    assert f"by the name): {second}, aleatoric_std, epistemic_std, lower, upper, scene_probability" in result.stderr
    assert metrics_of(tmp_path / "m") == ["quality", "psnr", "ssim"]


def test_a_name_that_metrics_and_ratings_share_is_asked_about(table, tmp_path):
    path = tmp_path / "scores.csv"
    table.rename(columns={"mos": "quality"}).to_csv(path, index=False)
    result = fit(path, "--out", tmp_path / "m", code=2)
    assert "column 'quality' may be a metric's scores or people's ratings; say which by --mos quality" in result.stderr
    for options in (["--mos", "quality"], ["--exclude", "quality"], ["--metrics", ",".join(METRICS)]):
        fit(path, "--out", tmp_path / "m", *options)
        assert metrics_of(tmp_path / "m") == METRICS


def test_a_name_with_a_comma_is_one_name(table, tmp_path):
    path = tmp_path / "scores.csv"
    table.rename(columns={"psnr": "psnr, dB"}).to_csv(path, index=False)
    fit(
        path,
        "--out",
        tmp_path / "m",
        "--metrics",
        "psnr, dB",
        "--metrics",
        "ssim,gmsd",
        "--higher-is-better",
        "psnr, dB",
    )
    assert metrics_of(tmp_path / "m") == ["psnr, dB", "ssim", "gmsd"]


@pytest.mark.parametrize(
    "names", [lambda name: name, lambda name: f"some/folder/{name.upper()}", lambda name: name[:-4]]
)
def test_files_of_one_metric_each_are_joined_by_image(table, tmp_path, names):
    table.loc[9, "psnr"] = 20.123
    first, second = tmp_path / "psnr.csv", tmp_path / "more.csv"
    table[["image", "psnr"]].to_csv(first, index=False)
    other = table[["image", "mos", "ssim", "lpips", "gmsd"]].sample(frac=1, random_state=0).iloc[1:]
    other.assign(file=other["image"].map(names)).drop(columns="image").to_csv(second, index=False, sep=";")
    result = fit(first, second, "--out", tmp_path / "m")
    assert "joined" in result.stderr
    assert "0 images are in it alone, 1 not in it" in result.stderr
    assert metrics_of(tmp_path / "m") == METRICS
    whole = read_tables([first, second]).set_index("image")
    assert len(whole) == 40
    assert whole["ssim"].isna().sum() == 1
    expected = table.set_index("image").loc[whole.index, METRICS].where(whole[METRICS].notna())
    np.testing.assert_allclose(whole[METRICS], expected)
    predicted = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), str(first), str(second)])
    assert predicted.exit_code == 0, predicted.stderr
    assert len(predicted.stdout.splitlines()) == 41


@pytest.mark.parametrize("reference", ["a reference", "reference"])
def test_files_are_joined_by_what_most_rows_share(table, tmp_path, reference):
    # Both files name the references too, which are fewer than the images and there more than once.
    table[reference] = [f"ref{row // 10}.png" for row in range(len(table))]
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    table[["image", reference, "psnr"]].to_csv(first, index=False)
    table[["image", reference, "ssim"]].to_csv(second, index=False)
    pd.testing.assert_frame_equal(
        read_tables([first, second])[["image", "psnr", "ssim"]], table[["image", "psnr", "ssim"]]
    )


@pytest.mark.parametrize(("shared", "joined"), [(20, True), (19, False)])
def test_half_of_the_images_in_both_files_are_enough(table, tmp_path, shared, joined):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    table[["image", "psnr"]].to_csv(first, index=False)
    names = [name if row < shared else f"x{name}" for row, name in enumerate(table["image"])]
    table.assign(image=names)[["image", "ssim"]].to_csv(second, index=False)
    if joined:
        assert len(read_tables([first, second])) == 60
    else:
        with pytest.raises(ScoreTableError, match="name the same images"):
            read_tables([first, second])


def test_files_of_other_images_are_refused(table, tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    table[["image", "psnr"]].to_csv(first, index=False)
    table.assign(image="x" + table["image"])[["image", "ssim"]].to_csv(second, index=False)
    with pytest.raises(
        ScoreTableError, match=r"name the same images \(.*a\.csv has image: img00\.png; .*image: ximg00"
    ):
        read_tables([first, second])
    table[["image", "psnr"]].assign(psnr=1.0).to_csv(second, index=False)
    with pytest.raises(ScoreTableError, match="both have a column 'psnr', and differ in it"):
        read_tables([first, second])
    pd.concat([table[["image", "ssim"]]] * 2).to_csv(second, index=False)
    with pytest.raises(ScoreTableError, match=r"b\.csv: 'img00\.png' is there twice"):
        read_tables([first, second])
