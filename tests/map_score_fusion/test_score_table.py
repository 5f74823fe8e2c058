import numpy as np
import pandas as pd
import pytest

from map_score_fusion import ScoreFusion, ScoreTableError, read_pieces, sample_rows
from map_score_fusion.column_numbers import column_numbers
from map_score_fusion.score_table import TrainingColumns, clip_infinities, finite_range, listed, read_scores


def test_a_table_is_read_with_its_names_and_rows():
    frame = pd.DataFrame({"PSNR": [30, 31], "SSIM": [0.5, None]}, index=["a.png", "b.png"])
    table = read_scores(frame)
    assert table.names == ("PSNR", "SSIM")
    assert list(table.rows) == ["a.png", "b.png"]
    np.testing.assert_array_equal(table.values, [[30, 0.5], [31, np.nan]])
    assert table.values.dtype == np.float64


@pytest.mark.parametrize(
    "table",
    [
        [[1, 2.5], [3, 4]],
        np.array([[1, 2.5], [3, 4]], dtype=np.float32),
        np.array([[1, 2.5], [3, 4]], dtype=object),
        pd.DataFrame([[1, 2.5], [3, 4]]),
        pd.DataFrame({"x0": pd.array([1, 3], dtype="Int64"), "x1": pd.array([2.5, 4], dtype="Float32")}),
    ],
)
def test_numbers_of_any_kind(table):
    read = read_scores(table)
    assert read.names == ("x0", "x1")
    np.testing.assert_array_equal(read.values, [[1, 2.5], [3, 4]])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_missing_scores_of_any_kind(missing):
    read = read_scores(pd.DataFrame({"a": [1.0, missing], "b": pd.Series([missing, 2.0], dtype=object)}))
    np.testing.assert_array_equal(read.values, [[1, np.nan], [np.nan, 2]])


def test_missing_scores_of_nullable_columns():
    read = read_scores(pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}))
    np.testing.assert_array_equal(read.values, [[1], [np.nan]])


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["30.1", "failed"], "row 'b.png' of column 'SSIM' holds 'failed', which is no number"),
        (["30.1", "30.2"], "row 'a.png' of column 'SSIM' holds '30.1', which is no number"),
        ([0.3, "failed"], "row 'b.png' of column 'SSIM' holds 'failed', which is no number"),
        (
            pd.to_datetime(["2020-01-01", "2020-01-02"]),
            "row 'a.png' of column 'SSIM' holds Timestamp.*, a time",
        ),
        (pd.Categorical(["good", "bad"]), "row 'a.png' of column 'SSIM' holds 'good'"),
        ([1 + 2j, 3], "Complex data not supported: column 'SSIM'"),
        (pd.Series([1.0, 2j], dtype=object).tolist(), "Complex data not supported"),
    ],
)
def test_what_is_no_score_is_named_by_row_and_column(column, says):
    frame = pd.DataFrame({"PSNR": [30.0, 31.0], "SSIM": column}, index=["a.png", "b.png"])
    with pytest.raises(ScoreTableError, match=says):
        ScoreFusion("mean-rank").fit(frame)


def test_a_text_in_a_list_is_named_too():
    with pytest.raises(ScoreTableError, match="row 1 of column 'x0' holds 'bad', which is no number"):
        ScoreFusion("mean-rank").fit([[1.0, 2.0], ["bad", 3.0]])


def test_a_thing_in_a_cell_is_named():
    cells = np.array([[1.0, {"a": 1}]], dtype=object)
    with pytest.raises(TypeError, match=r"row 0 of column 'x1' holds no score: .*dict"):
        read_scores(cells)


def test_two_columns_of_one_name():
    frame = pd.DataFrame([[1.0, 2.0], [2.0, 1.0]], columns=["SSIM", "SSIM"])
    with pytest.raises(ScoreTableError, match="two columns are named 'SSIM'"):
        ScoreFusion("mean-rank").fit(frame)


def test_clipping_leaves_the_rest_alone():
    values = np.array([[np.inf, 1.0], [-np.inf, np.nan], [2.0, 3.0]])
    low, high = finite_range(values)
    np.testing.assert_array_equal([low, high], [[2, 1], [2, 3]])
    clipped, counts = clip_infinities(values, np.array([1.0, 1.0]), np.array([5.0, 3.0]))
    np.testing.assert_array_equal(clipped, [[5, 1], [1, np.nan], [2, 3]])
    np.testing.assert_array_equal(counts, [2, 0])
    assert np.isinf(values[0, 0])


def test_a_column_without_a_finite_score_has_no_range():
    low, high = finite_range(np.array([[np.nan, np.inf], [np.nan, 1.0]]))
    np.testing.assert_array_equal([low, high], [[np.nan, 1], [np.nan, 1]])


def test_columns_are_turned_and_put_back():
    columns = TrainingColumns(
        ("a", "b", "c"), np.array([0.0, 1.0, 0.0]), np.array([1.0, 1.0, 2.0]), np.array([1.0, 0.0, -1.0])
    )
    oriented, counts = columns.oriented(np.array([[0.5, np.inf, np.inf]]))
    np.testing.assert_array_equal(oriented, [[0.5, -2.0]])
    np.testing.assert_array_equal(counts, [0, 0, 1])
    assert columns.used_names == ("a", "c")
    np.testing.assert_array_equal(columns.widened(oriented, np.nan), [[0.5, np.nan, -2.0]])


def test_sentences():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"], quoted=True) == "'a' and 'b'"
    assert listed([1, 2, 3]) == "1, 2 and 3"
    assert listed(range(8)) == "0, 1, 2, 3, 4 and 3 more"


@pytest.fixture(params=["csv", "csv.gz", "parquet"])
def file(request, tmp_path):
    frame = pd.DataFrame(
        {"image": [f"{row}.png" for row in range(23)], "PSNR": np.arange(23.0), "SSIM": np.linspace(0, 1, 23)}
    )
    frame.loc[4, "SSIM"] = np.nan
    path = tmp_path / f"scores.{request.param}"
    if request.param == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path, frame


def test_pieces_make_up_the_file(file):
    path, frame = file
    pieces = list(read_pieces(path, 10))
    assert [len(piece) for piece in pieces] == [10, 10, 3]
    assert pieces[2].index.tolist() == [20, 21, 22]
    pd.testing.assert_frame_equal(pd.concat(pieces), frame, check_index_type=False)


def test_pieces_of_some_columns(file):
    path, frame = file
    [piece] = read_pieces(path, columns=["SSIM", "PSNR"])
    assert set(piece.columns) == {"PSNR", "SSIM"}
    np.testing.assert_array_equal(piece["PSNR"], frame["PSNR"])
    with pytest.raises(ScoreTableError, match=r"there is no column 'LPIPS'; the columns are image, PSNR, SSIM"):
        list(read_pieces(path, columns=["PSNR", "LPIPS"]))


def test_predicting_by_pieces_is_predicting_at_once(file, made_table):
    path, frame = file
    table, _ = made_table()
    fusion = ScoreFusion("mean-rank").fit(table[["PSNR", "SSIM"]])
    whole = fusion.predict(frame)
    np.testing.assert_array_equal(np.concatenate([fusion.predict(piece) for piece in read_pieces(path, 7)]), whole)


def test_an_error_names_the_row_of_the_file(tmp_path):
    path = tmp_path / "scores.csv"
    pd.DataFrame({"PSNR": [30.0] * 15 + ["failed"] + [31.0] * 4, "SSIM": 0.5}).to_csv(path, index=False)
    fusion = ScoreFusion("mean-rank").fit(pd.DataFrame({"PSNR": [30.0, 40.0], "SSIM": [0.5, 0.7]}))
    with pytest.raises(ScoreTableError, match="row 15 of column 'PSNR' holds 'failed'"):
        [fusion.predict(piece[["PSNR", "SSIM"]]) for piece in read_pieces(path, 10)]


def test_two_columns_of_one_name_in_a_file(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("image,SSIM,SSIM\na.png,0.5,0.6\n")
    with pytest.raises(ScoreTableError, match="two columns are named 'SSIM'; each needs a name of its own"):
        list(read_pieces(path))


def test_the_index_of_a_parquet_file_is_a_column(tmp_path):
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"SSIM": [0.5, 0.6]}, index=pd.Index(["a.png", "b.png"], name="image")).to_parquet(path)
    [piece] = read_pieces(path)
    assert piece["image"].tolist() == ["a.png", "b.png"]
    assert piece.index.tolist() == [0, 1]


@pytest.mark.parametrize("rows", [1, 5, 23, 100])
def test_a_sample_is_of_the_files_rows_in_order(file, rows):
    path, frame = file
    sample = sample_rows(path, rows, random_state=0)
    assert len(sample) == min(rows, 23)
    assert sample.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(sample, frame.loc[sample.index], check_index_type=False)
    pd.testing.assert_frame_equal(sample, sample_rows(path, rows, random_state=0))


def test_a_sample_is_even(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    pd.DataFrame({"PSNR": np.arange(40.0)}).to_csv(path, index=False)
    monkeypatch.setattr("map_score_fusion.table_files.read_pieces.__defaults__", (10,))
    drawn = np.concatenate([sample_rows(path, 8, seed).index for seed in range(200)])
    counts = np.bincount(drawn // 10, minlength=4)
    # 1,600 rows drawn, 400 from each quarter but for chance: four standard deviations are 62.
    assert np.all(np.abs(counts - 400) < 62)


def test_a_number_of_four_hundred_digits_is_infinite(tmp_path):
    """pandas raises an OverflowError of its own there."""
    column = pd.Series(["1", "x", None, "-" + "9" * 400, "9" * 400])
    assert column_numbers(column[[0, 4]]).tolist() == [1, np.inf]
    np.testing.assert_array_equal(column_numbers(column), [1, np.nan, np.nan, -np.inf, np.inf])
    (tmp_path / "large.csv").write_text("a,b\n1," + "9" * 400 + "\n2,1\n")
    [piece] = read_pieces(tmp_path / "large.csv", numbers=["a", "b"])
    assert piece["b"].tolist() == [np.inf, 1]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ScoreTableError, match=r"none\.csv: there is no such file"):
        list(read_pieces(tmp_path / "none.csv"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ScoreTableError, match=r"empty\.csv: cannot be read as CSV"):
        list(read_pieces(tmp_path / "empty.csv"))
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(ScoreTableError, match=r"ragged\.csv: cannot be read as CSV"):
        list(read_pieces(tmp_path / "ragged.csv"))
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(ScoreTableError, match=r"text\.parquet: cannot be read as Parquet"):
        list(read_pieces(tmp_path / "text.parquet"))
    (tmp_path / "header.csv").write_text("a,b\n")
    with pytest.raises(ScoreTableError, match=r"header\.csv: holds no row"):
        sample_rows(tmp_path / "header.csv", 3)
    with pytest.raises(ScoreTableError, match="rows is 0"):
        list(read_pieces(tmp_path / "header.csv", 0))
