"""The pictures of docs/defnet/look.md: the page to look through, one photograph of it large, and an explanation.

    python docs/figures/look.py

Needs Playwright, and Chromium on PATH (`apt install chromium`). The photographs are those of samples/, which are free.
"""

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from defnet.cli import app

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "samples"


def main() -> None:
    """Write look.jpg, look-one.jpg and explain.jpg beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree(SAMPLES, place / "samples")
        os.chdir(place)
        run("score", "samples", "--report", "look.html")
        run("explain", "samples/astronaut.jpg", "--out", "explain.png")
        save(Image.open("explain.png"), "explain.jpg")
        with sync_playwright() as playwright:
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
            page = browser.new_page(viewport={"width": 1200, "height": 860}, color_scheme="dark")
            page.goto((place / "look.html").as_uri())
            page.wait_for_selector(".tile img")
            page.wait_for_timeout(500)
            save(shot(page), "look.jpg")
            page.keyboard.press("ArrowRight")
            page.keyboard.press("Enter")
            page.wait_for_timeout(500)
            save(shot(page), "look-one.jpg")
            browser.close()


def run(*arguments: str) -> None:
    """Run a command of defnet's; samples/ holds two files that are no photographs, which is no failure."""
    result = CliRunner().invoke(app, arguments)
    if result.exit_code != 0:
        raise SystemExit(result.output)


def shot(page: object) -> Image.Image:
    """What a page shows now."""
    return Image.open(io.BytesIO(page.screenshot()))  # type: ignore[attr-defined]


def save(picture: Image.Image, name: str) -> None:
    """Write a picture of at most 1200 pixels across."""
    picture = picture.convert("RGB")
    picture.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
    picture.save(HERE / name, quality=82)


if __name__ == "__main__":
    main()
