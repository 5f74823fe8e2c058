import builtins
import math

import numpy as np
import openpyxl
import pytest
import xlwt
from hypothesis import given, settings
from hypothesis import strategies as st

from iqa_datasets import DatasetError
from iqa_datasets.tables import read_sheet, read_text
from iqa_datasets.testing.workbooks import write_xlsx

PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, blacklist_categories=["Cs", "Cc"]), min_size=1)


@pytest.fixture
def text(tmp_path):
    def write(content, **options):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_text(path, **options)

    return write


@pytest.fixture
def sheet(tmp_path):
    def write(rows, titles=("name", "MOS"), **options):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(tmp_path / "labels.xlsx")
        return read_sheet(tmp_path / "labels.xlsx", titles, **options)

    return write


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(PLAIN, st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=8))
def test_reads_what_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tables") / "labels.csv"
    quoted = ['"' + name.replace('"', '""') + '"' for name, _ in rows]
    lines = ["name,MOS", *(f"{name},{score!r}" for name, (_, score) in zip(quoted, rows, strict=True))]
    path.write_text("\n".join(lines), encoding="utf-8")
    table = read_text(path)
    assert table.texts("name") == [name.strip() for name, _ in rows]
    assert table.numbers("mos").tolist() == [score for _, score in rows]


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"])), st.sampled_from([",", None]))
def test_any_text_is_read_or_refused(tmp_path_factory, content, separator):
    path = tmp_path_factory.mktemp("tables") / "any.csv"
    path.write_text("name,MOS\n" + content, encoding="utf-8", newline="")
    try:
        table = read_text(path, separator=separator)
        table.numbers("MOS")
    except DatasetError:
        return  # any other exception fails the test
    assert len(table) == len(table.texts("MOS"))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text()), max_size=4))
def test_numbers_are_finite_or_refused(tmp_path_factory, values):
    from iqa_datasets.tables import LabelTable

    table = LabelTable(tmp_path_factory.getbasetemp() / "x", {"MOS": values}, range(len(values)), "row")
    try:
        numbers = table.numbers("MOS")
    except DatasetError:
        return
    assert np.isfinite(numbers).all()
    assert all(not isinstance(value, bool) and value is not None for value in values)
    assert numbers.tolist() == [float(value) for value in values]


@pytest.mark.parametrize("value", ["", " ", "good", "nan", "inf", "-inf", "1_0", "1,5", "0x10", "1e999"])
def test_value_that_is_no_number_is_named(text, value):
    table = text(f'name,MOS\na,1\nb,"{value}"\n')
    with pytest.raises(DatasetError, match=r"labels\.csv, line 3: MOS must be a finite number, got") as caught:
        table.numbers("MOS")
    assert repr(value) in str(caught.value)


def test_optional_numbers(text):
    assert text("name,std\na,\nb,0.5\n").numbers("std", optional=True).tolist() == [
        pytest.approx(math.nan, nan_ok=True),
        0.5,
    ]
    with pytest.raises(DatasetError, match="line 2: std must be a finite number, got 'x'"):
        text("name,std\na,x\n").numbers("std", optional=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfeM\x00O\x00S\x00", "is not a text file in UTF-8"),
        ("", "is empty; its first line must hold the titles"),
        ("name,MOS\na,1,2\n", r"line 2 must have 2 fields \(name, MOS\), got 3"),
        ("name,MOS\n\na\n", r"line 3 must have 2 fields \(name, MOS\), got 1"),
        ('name,MOS\n"a,1\nb,2\n', "quotes"),
        ("MOS,MOS\n1,2\n", "has two columns 'MOS'"),
    ],
)
def test_damaged_text_is_named(text, content, message):
    with pytest.raises(DatasetError, match=message):
        text(content)


def test_lines_count_empty_lines_and_all_line_ends(text):
    table = text("\ufeffname,MOS\r\n\r\na,1\r\nb,x\r\n\r\n")
    assert table.texts("name") == ["a", "b"]
    with pytest.raises(DatasetError, match="line 4"):
        table.numbers("MOS")


def test_blanks_as_separator(text):
    table = text("5.5  a.bmp\n4.25\tb.bmp\n", separator=None, columns=("MOS", "name"))
    assert table.numbers("MOS").tolist() == [5.5, 4.25]
    assert table.texts("name") == ["a.bmp", "b.bmp"]


def test_unknown_column_names_the_nearest(text):
    with pytest.raises(DatasetError, match=r"labels\.csv has no column 'MOSS'; did you mean 'MOS'"):
        text("name,MOS\na,1\n").numbers("MOSS")
    assert text("name,MOS\na,1\n").has("mos")
    assert not text("name,MOS\na,1\n").has("std")


def test_sheet_whose_titles_stand_further_down(sheet):
    table = sheet([["a heading"], [], [None, "Name", " MOS "], [None, 1600, 2], [], [None, "x", 3.5]])
    assert table.texts("name") == ["1600", "x"]
    assert table.numbers("MOS").tolist() == [2, 3.5]
    assert table.where(1).endswith("labels.xlsx, row 6")


def test_sheet_without_its_titles(sheet):
    with pytest.raises(DatasetError, match="no row of sheet 'Sheet' holds the titles name, MOS"):
        sheet([["name", "score"], ["a", 1]])


def test_sheet_that_is_not_there(sheet):
    with pytest.raises(DatasetError, match="has no sheet 'Sheets'; did you mean 'Sheet'"):
        sheet([["name", "MOS"]], sheet="Sheets")


@pytest.mark.parametrize("value", [None, "good", True, "=1+1", float("inf")])
def test_cell_that_is_no_number_is_named(sheet, value):
    # A formula that no program has computed has no value; it is never computed here.
    table = sheet([["name", "MOS", "more"], ["a", value, 1]])
    with pytest.raises(DatasetError, match=r"labels\.xlsx, row 2: MOS must be a finite number"):
        table.numbers("MOS")


def test_cell_that_is_empty_is_named(sheet):
    with pytest.raises(DatasetError, match="row 3: name is empty"):
        sheet([["name", "MOS"], ["a", 1], [None, 2]]).texts("name")


def test_workbook_that_is_none(tmp_path):
    (tmp_path / "labels.xlsx").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DatasetError, match=r"labels\.xlsx is not a readable Excel workbook"):
        read_sheet(tmp_path / "labels.xlsx", ("name",))


@pytest.mark.parametrize(
    ("raised", "seen"),
    [("KeyboardInterrupt", KeyboardInterrupt), ("PanicException", DatasetError), ("OSError", DatasetError)],
)
def test_what_the_reader_raises_is_a_damaged_file_and_an_interruption_is_none(sheet, monkeypatch, raised, seen):
    sheet([("name", "MOS"), ("a", 1)])
    error = type("PanicException", (BaseException,), {}) if raised == "PanicException" else getattr(builtins, raised)

    def fails(path):
        raise error("inside")

    monkeypatch.setattr("iqa_datasets.tables.CalamineWorkbook.from_path", fails)
    with pytest.raises(seen):
        sheet([("name", "MOS"), ("a", 1)])


@pytest.mark.parametrize("suffix", [".xlsx", ".xls"])
def test_damaged_workbooks_are_refused_or_read(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    if suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in [["name", "MOS"], ["a", 1.5], ["b", 2]]:
            book.active.append(row)
        book.save(path)
    else:
        old = xlwt.Workbook()
        sheet = old.add_sheet("Sheet")
        for number, row in enumerate([("name", "MOS"), ("a", 1.5), ("b", 2)]):
            for column, value in enumerate(row):
                sheet.write(number, column, value)
        old.save(path)
    whole = path.read_bytes()
    assert read_sheet(path, ("name", "MOS")).numbers("MOS").tolist() == [1.5, 2]
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), int(rng.integers(1, 60))):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
        try:
            read_sheet(path, ("name", "MOS"))
        except DatasetError as error:  # any other exception fails the test
            refused += 1
            assert str(path) in str(error)  # noqa: PT017 - most are refused, some are read
    assert refused > 100


def test_workbooks_written_for_tests_are_what_other_programs_read(tmp_path):
    rows = [["name", "MOS", "<&\"'>"], [" a b ", 1.5, None], ["é写", -3, ""], [None, 1e-300, 2**53]]
    write_xlsx(tmp_path / "made.xlsx", {"one & two": rows, "more": [["x"] * 30]})
    book = openpyxl.load_workbook(tmp_path / "made.xlsx")
    assert book.sheetnames == ["one & two", "more"]
    got = [list(row) for row in book["one & two"].iter_rows(values_only=True)]
    assert got == [[None if value == "" else value for value in row] for row in rows]
    assert [cell.column_letter for cell in book["more"][1]][25:28] == ["Z", "AA", "AB"]
    first = (tmp_path / "made.xlsx").read_bytes()
    write_xlsx(tmp_path / "made.xlsx", {"one & two": rows, "more": [["x"] * 30]})
    assert (tmp_path / "made.xlsx").read_bytes() == first
    write_xlsx(tmp_path / "nan.xlsx", {"Sheet": [["name", "MOS"], ["a", float("nan")]]})
    assert openpyxl.load_workbook(tmp_path / "nan.xlsx").active["B2"].value == "#NUM!"
    with pytest.raises(DatasetError, match="MOS must be a finite number"):
        read_sheet(tmp_path / "nan.xlsx", ("name", "MOS")).numbers("MOS")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.csv is missing"):
        read_text(tmp_path / "no.csv")
    with pytest.raises(FileNotFoundError, match=r"no\.xlsx is missing"):
        read_sheet(tmp_path / "no.xlsx", ("name",))
