"""The page in a browser: what a person does with it, by mouse and by keys, on a screen and on a telephone.

Run by `nox -s browser`. Playwright drives the Chromium of the system.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nox -s browser brings it")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on PATH: apt install chromium", allow_module_level=True)

# What the bar above the grid says.
SHOWN = "document.getElementById('shown').textContent"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    # Chromium's sandbox does not work for root, which containers run as.
    options = ["--no-sandbox"] if os.name != "nt" and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_page: Callable[..., Path]) -> Path:
    return make_page(tmp_path_factory.mktemp("page") / "look.html")


@pytest.fixture
def opened(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page, and fails where it wrote an error to the console or asked for anything but files."""
    errors: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(path: Path, width: int = 1200, height: int = 800, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".tile")
        return page

    yield open_page
    for context in contexts:
        context.close()
    # A photograph that is not beside the page is no fault of the page's.
    assert [error for error in errors if "ERR_FILE_NOT_FOUND" not in error] == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def shown(page: Any) -> str:
    return str(page.evaluate(SHOWN))


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".tile .name").all_text_contents()
    return found


def wait_until(page: Any, condition: str) -> None:
    """Playwright's own waiting evaluates text in the page, which the page's policy rightly refuses."""
    until = time.monotonic() + 10
    while not page.evaluate(condition):
        assert time.monotonic() < until, f"never came: {condition}; shown: {shown(page)}"
        page.wait_for_timeout(20)


def wait_for(page: Any, words: str) -> None:
    wait_until(page, f"{SHOWN}.startsWith({words!r})")


def test_it_opens_worst_first_and_says_what_is_there(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    assert page.title() == "Holiday"
    assert page.text_content("#summary") == "24 photographs · 1 with a warning · 1 could not be scored"
    assert page.text_content("#notes") == "2 photographs could not be found"
    assert shown(page) == "All 25 photographs"
    assert names(page)[:3] == ["img00000.jpg", "img00001.jpg", "img00002.jpg"]
    assert page.evaluate("document.querySelector('.tile img').naturalWidth") == 64
    label = page.locator(".tile").first.get_attribute("aria-label")
    assert label == "img00000.jpg, quality 1.00, 95 % interval 1.00 to 1.80, blur"
    page.keyboard.press("End")
    failed = page.locator(".tile.failed")
    assert "not scored: is damaged or truncated" in failed.get_attribute("aria-label")
    assert failed.locator(".why").text_content() == "is damaged or truncated"


@pytest.mark.parametrize(
    ("sort", "first"),
    [("best", 23), ("unsure", 13), ("sure", 7), ("strange", 0), ("familiar", 23), ("name", 1), ("table", 0)],
)
def test_sorting(opened: Callable[..., Any], made: Path, sort: str, first: int) -> None:
    page = opened(made)
    page.select_option("#sort", sort)
    assert names(page)[0] == f"img{first:05d}.jpg"


def test_filters_by_scene_distortion_name_and_kind(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    page.select_option("#scene", "animal")
    wait_for(page, "8 of 25")
    page.select_option("#distortion", "blur")
    wait_for(page, "4 of 25")
    page.fill("#search", "TRIP 16")
    wait_for(page, "1 of 25")
    assert names(page) == ["img00016.jpg"]
    page.fill("#search", "nothing of the sort")
    wait_for(page, "0 of 25")
    page.click("#reset-too")
    wait_for(page, "All 25")
    assert [page.input_value(f"#{name}") for name in ("search", "scene", "distortion", "only")] == [""] * 4
    for kind, number in (("warned", 1), ("unfamiliar", 2), ("failed", 1)):
        page.select_option("#only", kind)
        wait_for(page, f"{number} of 25")


def test_brushing_the_histogram_filters(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    box = page.locator("#histogram").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.25 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], middle, steps=4)
    page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=4)
    page.mouse.up()
    page.wait_for_selector(".brush")
    wait_until(page, "document.getElementById('to').value === '3'")
    assert float(page.input_value("#from")) == pytest.approx(2.0, abs=0.02)
    inside = [1 + 4 * number / 23 for number in range(24)]
    wait_for(page, f"{sum(2 <= quality <= 3 for quality in inside)} of 25")
    # The same by typing, which a keyboard can do; and another measure keeps the first range.
    page.fill("#from", "4")
    page.fill("#to", "5")
    page.press("#to", "Enter")
    wait_for(page, f"{sum(quality >= 4 for quality in inside)} of 25")
    page.select_option("#measure", "familiarity")
    page.fill("#from", "0.45")
    page.press("#from", "Enter")
    wait_for(page, "2 of 25")
    page.click("#clear-range")
    wait_for(page, "6 of 25")
    page.click("#reset")
    wait_for(page, "All 25")


def test_keys_move_open_select_and_close(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.getElementById('grid').getAttribute('aria-activedescendant')") == "tile-2"
    page.keyboard.press(" ")
    assert "1 selected" in shown(page)
    assert page.get_attribute("#tile-2", "aria-selected") == "true"
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert "3 selected" in shown(page)
    page.keyboard.press("Enter")
    assert page.text_content("#viewer h2") == "img00004.jpg"
    page.keyboard.press("ArrowRight")
    assert page.text_content("#viewer h2") == "img00005.jpg"
    page.keyboard.press(" ")
    assert "4 selected" in shown(page)
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('viewer').open")
    # Where the viewer was, the grid is.
    assert page.evaluate("document.getElementById('grid').getAttribute('aria-activedescendant')") == "tile-5"
    page.keyboard.press("Escape")
    assert "selected" not in shown(page)
    page.keyboard.press("Control+a")
    assert "25 selected" in shown(page)
    page.keyboard.press("/")
    page.keyboard.type("img00003")
    wait_for(page, "1 of 25")
    page.keyboard.press("?")
    assert not page.evaluate("document.getElementById('help').open"), "a question mark can be searched for"


def test_the_viewer_tells_what_is_known(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    said = page.text_content("#viewer .said")
    for words in ("1.17", "1.00 to 1.97", "± 0.36", "animal 90 %", "none in particular 80 %", "640 × 480", "1.2 MB"):
        assert words in said, words
    assert page.locator("#viewer svg.boxes .edge").count() == 2
    assert page.locator("#viewer .local li").first.text_content().startswith("1.50 ± 0.40")
    page.locator("#viewer .local li").first.hover()
    assert page.locator("#viewer .edge.meant").get_attribute("data-box") == "0"
    # The boxes lie where they are in the photograph.
    frame = page.locator("#viewer .frame").bounding_box()
    edge = page.locator("#viewer .edge").nth(1).bounding_box()
    assert (edge["x"] - frame["x"]) / frame["width"] == pytest.approx(416 / 640, abs=0.01)
    assert (edge["y"] - frame["y"]) / frame["height"] == pytest.approx(256 / 480, abs=0.01)
    page.keyboard.press("b")
    assert page.locator("#viewer svg.boxes").count() == 0


def test_the_viewer_opens_the_file_where_it_is(
    opened: Callable[..., Any], tmp_path: Path, scorer: Any, model_file: Path
) -> None:
    from typer.testing import CliRunner

    from defnet.cli import app

    folder = tmp_path / "a # strange%20 folder"
    folder.mkdir()
    Image.new("RGB", (400, 300), (200, 90, 30)).save(folder / "here? 100%.png")
    Image.new("RGB", (400, 300), (20, 90, 30)).save(folder / "moved.png")
    page_file = tmp_path / "look.html"
    CliRunner().invoke(app, ["score", str(folder), "--model", str(model_file), "--report", str(page_file)])
    (folder / "moved.png").unlink()
    page = opened(page_file)
    page.select_option("#sort", "name")
    page.focus("#grid")
    page.keyboard.press("Enter")
    wait_until(page, "document.querySelector('#viewer .frame img').naturalWidth === 400")
    assert page.text_content("#viewer .source") == "Shown: the file itself."
    page.keyboard.press("ArrowRight")
    wait_until(page, "document.querySelector('#viewer .frame img').naturalWidth === 256")
    assert "its thumbnail" in page.text_content("#viewer .source")


def test_comparing_two(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made)
    assert page.is_disabled("#compare")
    page.locator(".tile .check").nth(0).click()
    page.locator(".tile").nth(11).click(modifiers=["Control"])
    page.keyboard.press("c")
    assert page.locator("#comparison h2").all_text_contents() == ["img00000.jpg", "img00011.jpg"]
    # Deviations √(0.3² + 0.1²) and √(0.5² + 0.1²), together 0.6.
    said = page.text_content("#comparison .difference")
    assert said == (
        "The second scores 1.91 higher: 3.2 times the deviation of such a difference (0.60), "
        "more than chance would do once in twenty times."
    )
    page.keyboard.press("z")
    assert page.locator("#comparison.zoomed .frame").count() == 2
    page.locator("#comparison .stage").first.hover(position={"x": 10, "y": 10})
    origins = page.evaluate("[...document.querySelectorAll('#comparison .frame')].map(f => f.style.transformOrigin)")
    assert origins[0] == origins[1] != "50% 50%"
    page.get_by_role("button", name="Swap").click()
    assert page.locator("#comparison h2").all_text_contents() == ["img00011.jpg", "img00000.jpg"]


def test_the_list_of_selected_files_is_copied(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made, permissions=["clipboard-read", "clipboard-write"])
    assert page.is_disabled("#copy")
    page.locator(".tile .check").nth(3).click()
    page.locator(".tile").nth(1).click(modifiers=["Shift"])
    assert page.text_content("#copy") == "Copy the list of 3 files"
    page.click("#copy")
    wait_until(page, "document.getElementById('said').textContent !== ''")
    assert page.text_content("#said") == "Copied 3 paths, one a line."
    assert page.evaluate("navigator.clipboard.readText()") == (
        "trip/a/img00001.jpg\ntrip/b/img00002.jpg\ntrip/a/img00003.jpg\n"
    )


def test_dark_and_light_by_the_system_and_by_the_switch(opened: Callable[..., Any], made: Path) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark, light = (opened(made, color_scheme=scheme) for scheme in ("dark", "light"))
    assert dark.evaluate(ground) == "rgb(19, 19, 21)"
    assert light.evaluate(ground) == "rgb(244, 243, 240)"
    light.click("#theme")
    assert light.evaluate(ground) == "rgb(19, 19, 21)"
    light.reload()
    light.wait_for_selector(".tile")
    assert light.evaluate(ground) == "rgb(19, 19, 21)", "the browser remembers"


CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = (text) => {
    const [r, g, b] = channels(text).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour) && !colour.startsWith("color(")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.disabled || node.closest("svg, script, style, .skip, #said")) continue;
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((x, y) => y - x);
    const name = node.className || node.id || node.tagName;
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${name}: ${node.textContent.trim()}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_words_stand_out_from_their_ground_and_controls_have_names(
    opened: Callable[..., Any], made: Path, scheme: str
) -> None:
    page = opened(made, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter(c => c.checkVisibility() && "
        "!c.textContent.trim() && !c.getAttribute('aria-label') && !c.labels?.length).map(c => c.id)"
    )
    assert nameless == []
    page.keyboard.press("Enter")
    assert page.evaluate(CONTRAST) == []


def test_on_a_telephone_nothing_is_wider_than_the_screen(opened: Callable[..., Any], made: Path) -> None:
    page = opened(made, 390, 844, has_touch=True, is_mobile=True)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 390
    assert not page.evaluate("document.getElementById('filters').open")
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('.tile')].map(t => t.getBoundingClientRect().x)).size"
    )
    assert columns == 2
    page.tap("#filters > summary")
    assert page.evaluate(wide) == 390
    page.tap("#filters > summary")
    page.locator(".tile .picture").nth(1).tap(position={"x": 20, "y": 60})
    box = page.locator("#viewer").bounding_box()
    assert (box["x"], box["width"]) == (0, 390)
    for control in page.locator("#viewer .foot button").all():
        place = control.bounding_box()
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
        assert place["y"] + place["height"] <= 844


def test_names_that_are_html_are_shown_as_they_are(opened: Callable[..., Any], tmp_path: Path) -> None:
    from defnet.report.gallery.entries import Gallery
    from defnet.report.gallery.page_file import write_page
    from defnet.scoring.scored_tables import ScoredRow, failed_row

    evil = "<img src=x onerror=\"document.title='taken'\"></script><script>document.title='taken'</script>.jpg"
    with Gallery() as gallery:
        gallery.add(ScoredRow(evil, {"quality": 2.0}, scene=evil, distortion=evil, warnings=(evil,)), href="./x.jpg")
        gallery.add(failed_row(evil + "2", evil))
        write_page(gallery, tmp_path / "page.html", evil, [evil])
    page = opened(tmp_path / "page.html")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert page.title() == evil
    assert page.text_content("h1") == evil
    assert page.text_content("#viewer h2") == evil.rpartition("/")[2]
    assert page.text_content("#viewer .warnings") == evil
    assert page.locator("[onerror]").count() == 0


def test_ten_thousand_photographs(opened: Callable[..., Any], tmp_path: Path, make_page: Callable[..., Path]) -> None:
    path = make_page(tmp_path / "page.html", 10_000, failed=False)
    begun = time.perf_counter()
    page = opened(path)
    assert time.perf_counter() - begun < 15  # a second or two on a machine of its own
    assert shown(page) == "All 10,000 photographs"
    # However far one scrolls, only what is in view exists, and it is what belongs there.
    for part in (0.1, 0.5, 0.9, 1):
        page.evaluate(f"scrollTo(0, {part} * document.documentElement.scrollHeight)")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert 0 < page.locator(".tile").count() < 80
        places = page.evaluate("[...document.querySelectorAll('.tile')].map(tile => Number(tile.dataset.place))")
        assert abs(sum(places) / len(places) - part * 10_000) < 150
    assert names(page)[-1] == "img09999.jpg"
    assert page.evaluate("[...document.querySelectorAll('.tile img')].every(i => i.complete && i.naturalWidth === 64)")
    page.keyboard.press("Home")
    assert page.evaluate("scrollY") < 600
    begun = time.perf_counter()
    page.fill("#search", "img0123")
    wait_for(page, "10 of 10,000")
    assert time.perf_counter() - begun < 5
