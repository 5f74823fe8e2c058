import copy
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from map_score_fusion import ScoreFusion, ScoreTableError, report_html, write_report
from map_score_fusion.figures import plot_metric_curves, plot_noise_against_srcc, plot_weights
from map_score_fusion.methods.base import FittingLog
from map_score_fusion.real_tables import REAL_TABLES

METRICS = ["psnr", "ssim", "lpips", "gmsd"]
pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Reads a page, and checks that every element that begins also ends."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.words = [], [], [], []
        self.attributes = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def table(rated_table):
    return rated_table()


@pytest.fixture(scope="module")
def fusion(table):
    return ScoreFusion("mean-rank").fit(table[METRICS])


@pytest.fixture(scope="module")
def page(fusion, table):
    return Page(report_html(fusion, table, labels=list(table["image"]), source="made.csv"))


@pytest.fixture(scope="module")
def plain(fusion, table):
    """The text of a report without labels; each takes a second to draw."""
    return report_html(fusion, table)


def test_is_one_whole_page_that_needs_nothing_else(page):
    assert page.tags.count("html") == page.tags.count("h1") == 1
    assert "script" not in page.tags
    assert "link" not in page.tags
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,")), (name, value)
    assert len(page.ids) == len(set(page.ids))
    references = {value[1:] for name, value in page.attributes if name.endswith("href") and value.startswith("#")}
    assert references <= set(page.ids)
    assert ("lang", "en") in page.attributes


def test_shows_the_table_and_what_is_missing(page, table, fusion):
    text = page.text
    assert "200 images, 4 metrics, fused by mean-rank" in text
    assert "lpips lacks 5 scores" in text
    assert "clipped to the range of the table that the model was fitted to: psnr 1" in text
    assert "Every metric weighs about the same, 25.0 %" in text or "The fused score goes by" in text
    ranks = table[METRICS].assign(lpips=-table["lpips"], gmsd=-table["gmsd"]).rank(pct=True)
    most = ranks.std(axis=1, ddof=0).nlargest(20).index
    shown = re.findall(r"\b0\d{3}\b", text[text.index("images on which the metrics differ most") :])
    assert len(set(shown[:20]) & set(table.loc[most, "image"])) >= 18  # ranks of few scores differ by half a step
    std = fusion.predict(table, return_std=True)[1]
    uncertain = re.findall(r"\b0\d{3}\b", text[text.index("largest standard deviation") :])
    assert REAL_TABLES in text
    assert uncertain[:20] == list(table["image"].iloc[np.argsort(-std, kind="stable")[:20]])


def test_escapes_all_that_comes_from_the_table(table):
    evil = "<script>alert('$1$')</script>&\"'\x1b"
    names = {"psnr": evil, "gmsd": '"><img src=x onerror=alert(1)>'}
    renamed = table[METRICS].rename(columns=names)
    fusion = ScoreFusion("mean-rank", higher_is_better={evil: True, names["gmsd"]: False}).fit(renamed)
    labels = [f"<b onmouseover=x>{row}</b>" for row in range(len(renamed))]
    text = report_html(fusion, renamed, labels=labels, source="</title><script>", notes=["<i>note</i>"])
    page = Page(text)
    assert not {"script", "img", "b", "i"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert('$1$')</script>" in page.text
    assert "<b onmouseover=x>" in page.text


def test_is_the_same_each_time(fusion, table, plain):
    assert report_html(fusion, table) == plain


def test_colours_are_the_pages_own(plain):
    """No colour of the figures is left that would not change with the page's scheme."""
    pictures = "".join(re.findall(r"<svg.*?</svg>", plain, flags=re.DOTALL))
    assert set(re.findall(r"(?:fill|stroke): ?(#[0-9a-f]{6})", pictures)) <= {"#ffffff", "#000000"}
    assert "var(--ink)" in pictures


def test_pictures_are_as_wide_as_they_were_drawn(plain):
    pictures = re.findall(r"<svg[^>]*max-width[^>]*>", plain)
    assert len(pictures) == 3
    for picture in pictures:
        width = float(re.search(r'viewBox="0 0 ([\d.]+) ', picture)[1])  # in points, of which an inch has 72
        assert re.search(r"max-width: (\d+)px", picture)[1] == f"{width / 72 * 96:.0f}"


def test_tables_at_the_edge(table):
    one = ScoreFusion("mean-rank").fit(table[["psnr"]])
    assert "differ most" not in Page(report_html(one, table)).text
    constant = table[METRICS].assign(flat=1.0)
    fusion = ScoreFusion("mean-rank", higher_is_better={"flat": True}).fit(constant)
    assert "flat told nothing in the fit, and has no weight" in Page(report_html(fusion, constant)).text
    absent = report_html(ScoreFusion("mean-rank").fit(table[METRICS]), table.assign(ssim=np.nan))
    assert "Residual correlations of psnr, lpips, gmsd" in absent
    with pytest.raises(ScoreTableError, match="fewer than two images"):
        report_html(one, table[["psnr"]].assign(psnr=np.nan))
    with pytest.raises(ScoreTableError, match="3 labels for 200 images"):
        report_html(one, table, labels=[1, 2, 3])


def test_warns_of_a_fit_that_went_wrong(fusion, table, plain):
    faulty = copy.deepcopy(fusion)
    faulty.method_.log = FittingLog(messages=("the noise of 'psnr' <fell> to 0",))
    text = Page(report_html(faulty, table)).text
    assert "The fit has a fault" in text
    assert "the noise of 'psnr' <fell> to 0" in text
    assert "The fit has a fault" not in plain


def test_an_interrupted_report_leaves_the_old_one(fusion, table, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ScoreTableError):
        write_report(fusion, table, path, labels=[1])
    assert path.read_text() == "old"
    write_report(fusion, table, path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_curves_are_drawn_where_they_were_fitted():
    grid = np.linspace(0, 1, 51)
    expected = np.stack([grid**2, 3 - grid], axis=1)
    curves = {"expected": expected, "lower": expected - 0.1, "upper": expected + 0.2}
    fused = np.linspace(0, 1, 80)
    figure = plot_metric_curves(["a", "b"], np.stack([fused**2, 3 - fused], axis=1), fused, curves)
    for at, axes in enumerate(figure.axes[:2]):
        line = axes.lines[-1].get_xydata()
        assert line == pytest.approx(np.stack([grid, expected[:, at]], axis=1))


def test_noise_against_srcc_draws_each_metric():
    names = ["m$1$", "b", "c"]
    figure = plot_noise_against_srcc(pd.Series([0.1, 0.2, 0.3], names), pd.Series([0.9, 0.8, 0.7], names))
    (axes,) = figure.axes
    assert axes.lines[0].get_xydata() == pytest.approx(np.array([[0.3, 0.7], [0.2, 0.8], [0.1, 0.9]]))
    assert "-1.00" in axes.get_title()
    figure.canvas.draw()
    with pytest.raises(ScoreTableError, match="no metric has both"):
        plot_noise_against_srcc(pd.Series([0.1], ["a"]), pd.Series([0.9], ["b"]))
    with pytest.raises(ScoreTableError, match="no image has weights"):
        plot_weights(["a"], np.array([[np.nan]]))
