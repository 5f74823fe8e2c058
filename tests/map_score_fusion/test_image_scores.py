import csv
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import piq
import pytest
import torch
from PIL import Image, ImageFilter

from iqa_datasets.atomic_files import FileInUseError, locked
from iqa_datasets.decoder_messages import python_warnings
from map_score_fusion import IMAGE_METRICS, ScoreTableError, choose_metrics, known_metric, score_folder
from map_score_fusion.image_files import ImagePair, image_files, pair_by_name
from map_score_fusion.image_scores import PAPER_METRICS, ImageScorer

SAMPLES = Path(__file__).parents[2] / "samples"
OFFLINE = [name for name, metric in IMAGE_METRICS.items() if not metric.weights]
FULL = [name for name in OFFLINE if IMAGE_METRICS[name].needs_reference]
SIZE = (200, 168)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two photographs, and six distorted copies: as small as the metrics allow."""
    root = tmp_path_factory.mktemp("images")
    (root / "references").mkdir()
    (root / "distorted").mkdir()
    for name in ("chelsea", "coffee"):
        photo = Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        photo.save(root / "references" / f"{name}.png")
        for level in (1, 2):
            photo.filter(ImageFilter.GaussianBlur(level)).save(root / "distorted" / f"{name}_blur_{level}.png")
        photo.save(root / "distorted" / f"{name}_jpeg.jpg", quality=10)
    return root / "references", root / "distorted"


def tensor(path):
    samples = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())
    return samples.permute(2, 0, 1)[None].float() / 255


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


DIRECT = {
    "psnr": piq.psnr,
    "ssim": piq.ssim,
    "ms_ssim": piq.multi_scale_ssim,
    "iw_ssim": piq.information_weighted_ssim,
    "vif_p": piq.vif_p,
    "fsim": lambda x, y: piq.fsim(x, y, chromatic=False),
    "fsimc": piq.fsim,
    "srsim": piq.srsim,
    "gmsd": piq.gmsd,
    "ms_gmsd": piq.multi_scale_gmsd,
    "vsi": piq.vsi,
    "dss": piq.dss,
    "haarpsi": piq.haarpsi,
    "mdsi": piq.mdsi,
    "tv": lambda x, _: piq.total_variation(x),
}


def test_the_table_holds_what_piq_gives_for_each_image_alone(folders, tmp_path):
    references, distorted = folders
    pairs = pair_by_name(image_files(distorted), image_files(references))
    out = tmp_path / "scores.csv"
    found = score_folder(pairs, distorted, references, choose_metrics(OFFLINE, have_references=True), out)
    assert (found.scored, found.kept, found.faulty, found.strangers) == (6, 0, 0, 0)
    table = rows(out)
    assert [row["image"] for row in table] == sorted(path.name for path in distorted.iterdir())
    assert set(DIRECT) == set(OFFLINE)
    for row in table:
        x, y = tensor(distorted / row["image"]), tensor(references / row["reference"])
        assert row["problem"] == ""
        for name, function in DIRECT.items():
            assert float(row[name]) == pytest.approx(float(function(x, y)), rel=2e-5, abs=1e-6), name


def test_directions_are_those_of_growing_blur(folders):
    references, distorted = folders
    scorer = ImageScorer([IMAGE_METRICS[name] for name in FULL])
    weak, strong = (
        scorer.score(distorted / f"chelsea_blur_{level}.png", references / "chelsea.png")[0] for level in (1, 2)
    )
    for name in FULL:
        assert (weak[name] > strong[name]) == IMAGE_METRICS[name].higher_is_better, name


@pytest.mark.parametrize(
    "name", [name for name, metric in IMAGE_METRICS.items() if metric.higher_is_better is not None]
)
def test_columns_are_known_to_the_fusion_with_the_same_direction(name):
    known = known_metric(name)
    assert known is not None
    assert known.higher_is_better == IMAGE_METRICS[name].higher_is_better


@pytest.mark.parametrize("name", FULL)
def test_smallest_side_is_enough_and_below_it_there_is_no_score(name, tmp_path):
    metric = IMAGE_METRICS[name]
    noise = np.random.default_rng(0).integers(0, 256, size=(metric.smallest + 3, metric.smallest, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "reference.png")
    Image.fromarray(noise // 2).save(tmp_path / "image.png")
    scorer = ImageScorer([metric])
    scores, problem = scorer.score(tmp_path / "image.png", tmp_path / "reference.png")
    assert problem == ""
    assert np.isfinite(scores[name])
    if metric.smallest > 1:
        for file in ("image.png", "reference.png"):
            picture = Image.open(tmp_path / file)
            picture.crop((0, 0, metric.smallest - 1, picture.height)).save(tmp_path / file)
        scores, problem = scorer.score(tmp_path / "image.png", tmp_path / "reference.png")
        assert np.isnan(scores[name])
        assert problem == f"{name}: shorter side below {metric.smallest} pixels"


def test_what_cannot_be_scored_is_reported_and_left_empty(folders, tmp_path):
    references, _ = folders
    images = tmp_path / "images"
    images.mkdir()
    photo = Image.open(references / "chelsea.png")
    photo.save(images / "chelsea_whole.png")
    photo.crop((0, 0, 180, 168)).save(images / "chelsea_cropped.png")
    (images / "chelsea_damaged.png").write_bytes((references / "chelsea.png").read_bytes()[:2000])
    photo.save(images / "stranger.png")
    pairs = pair_by_name(image_files(images), image_files(references))
    out = tmp_path / "scores.csv"
    found = score_folder(pairs, images, references, choose_metrics(["psnr,tv"], have_references=True), out)
    assert (found.scored, found.faulty) == (4, 3)
    table = {row["image"]: row for row in rows(out)}
    assert table["chelsea_whole.png"]["psnr"] == "80"
    assert table["chelsea_cropped.png"]["psnr"] == ""
    assert table["chelsea_cropped.png"]["problem"] == "180x168 pixels, its reference 200x168"
    assert float(table["chelsea_cropped.png"]["tv"]) > 0
    assert "chelsea_damaged.png: " in table["chelsea_damaged.png"]["problem"]
    assert table["chelsea_damaged.png"]["tv"] == ""
    assert "no reference has a name" in table["stranger.png"]["problem"]
    again = score_folder(pairs, images, references, choose_metrics(["psnr,tv"], have_references=True), out)
    assert (again.scored, again.kept, again.faulty) == (0, 4, 3)


def test_a_metric_that_warns_silences_itself_alone(folders):
    """Whoever decodes in another thread meanwhile goes on hearing what the decoder says."""
    begun, measuring, told = threading.Event(), threading.Event(), threading.Event()
    heard = []

    def decode():
        with python_warnings() as caught:
            begun.set()
            measuring.wait()
            warnings.warn_explicit("damaged", UserWarning, "plugin.py", 1, module="PIL.TiffImagePlugin")
        heard.extend(caught)
        told.set()

    def metric(x, _):
        measuring.set()
        told.wait()
        warnings.warn("a metric's own", UserWarning, stacklevel=1)
        return torch.tensor(1.0)

    scorer = ImageScorer(choose_metrics(["tv"], have_references=False))
    scorer._functions = [metric]
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread = threading.Thread(target=decode)
        thread.start()
        begun.wait()
        scores, problems = scorer.score(folders[0] / "chelsea.png")
        thread.join()
    assert (scores, problems, shown) == ({"tv": 1.0}, "", [])
    assert heard == ["damaged"]


def test_a_flat_image_gets_no_score_that_is_no_number(tmp_path):
    Image.new("RGB", SIZE, (90, 90, 90)).save(tmp_path / "flat.png")
    scores, problem = ImageScorer([IMAGE_METRICS[name] for name in FULL]).score(
        tmp_path / "flat.png", tmp_path / "flat.png"
    )
    for name, value in scores.items():
        assert np.isfinite(value) or f"{name}: " in problem


def test_goes_on_where_it_was_stopped(folders, tmp_path):
    references, distorted = folders
    pairs = pair_by_name(image_files(distorted), image_files(references))
    metrics = choose_metrics(["psnr"], have_references=True)
    out = tmp_path / "scores.csv"
    score_folder(pairs, distorted, references, metrics, out)
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (0, 5, len(lines[0]), len(b"".join(lines[:3])), len(b"".join(lines[:3])) + 9, len(whole) - 1):
        out.write_bytes(whole[:cut])
        found = score_folder(pairs, distorted, references, metrics, out)
        assert out.read_bytes() == whole
        assert found.scored + found.kept == 6
        assert found.kept == max(whole[:cut].count(b"\n") - 1, 0)
    fewer = score_folder(pairs[:2], distorted, references, metrics, out)
    assert (fewer.kept, fewer.strangers) == (6, 4)


def test_two_runs_do_not_write_one_file(folders, tmp_path):
    references, distorted = folders
    pairs = pair_by_name(image_files(distorted), image_files(references))
    out = tmp_path / "scores.csv"
    with locked(out), pytest.raises(FileInUseError, match=r"scores\.csv is being written by process"):
        score_folder(pairs, distorted, references, choose_metrics(["psnr"], have_references=True), out, overwrite=True)
    assert not out.exists()


def test_a_frame_of_several_is_scored_with_a_remark(folders, tmp_path):
    references, _ = folders
    images = tmp_path / "images"
    images.mkdir()
    photo = Image.open(references / "chelsea.png")
    photo.save(images / "chelsea_1.tif", save_all=True, append_images=[photo.rotate(180)])
    pairs = pair_by_name(image_files(images), image_files(references))
    out = tmp_path / "scores.csv"
    found = score_folder(pairs, images, references, choose_metrics(["psnr"], have_references=True), out)
    assert found.faulty == 1
    assert (rows(out)[0]["psnr"], rows(out)[0]["problem"]) == ("80", "frame 1 of 2")


def test_never_mixes_what_was_made_otherwise(folders, tmp_path):
    references, distorted = folders
    pairs = pair_by_name(image_files(distorted), image_files(references))
    psnr, ssim = (choose_metrics([name], have_references=True) for name in ("psnr", "ssim"))
    out = tmp_path / "scores.csv"
    score_folder(pairs, distorted, references, psnr, out)
    before = out.read_bytes()
    with pytest.raises(ScoreTableError, match="was made with metrics psnr, this run has ssim"):
        score_folder(pairs, distorted, references, ssim, out)
    with pytest.raises(ScoreTableError, match="was made with references"):
        score_folder(pairs, distorted, distorted, psnr, out)
    renamed = out.with_name("renamed.csv")
    renamed.write_bytes(before.replace(b"psnr", b"PSNR", 1))
    settings = out.with_name("scores.csv.settings.json").read_bytes()
    renamed.with_name("renamed.csv.settings.json").write_bytes(settings)
    with pytest.raises(ScoreTableError, match=r"has the columns image, reference, PSNR.*, not image, reference, psnr"):
        score_folder(pairs, distorted, references, psnr, renamed)
    swapped = [ImagePair(pair.image, "coffee.png") for pair in pairs]
    with pytest.raises(ScoreTableError, match=r"compares chelsea_blur_1\.png with chelsea\.png, this run with coffee"):
        score_folder(swapped, distorted, references, psnr, out)
    out.with_name("scores.csv.settings.json").unlink()
    with pytest.raises(ScoreTableError, match=r"not scores\.csv\.settings\.json"):
        score_folder(pairs, distorted, references, psnr, out)
    assert out.read_bytes() == before
    score_folder(pairs, distorted, references, ssim, out, overwrite=True)
    assert "ssim" in rows(out)[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_is_gone_on_with(tmp_path):
    """Kills the real command between two rows, and compares with a run that was let be."""
    references, distorted = tmp_path / "references", tmp_path / "distorted"
    references.mkdir()
    distorted.mkdir()
    generator = np.random.default_rng(0)
    for name in range(30):
        picture = generator.integers(0, 256, size=(50, 60, 3), dtype=np.uint8)
        Image.fromarray(picture).save(references / f"{name:02}.png")
        Image.fromarray(picture // 2).save(distorted / f"{name:02}_dark.png")
    out, whole = tmp_path / "killed.csv", tmp_path / "whole.csv"
    command = [sys.executable, "-c", "from map_score_fusion.cli import app; app()", "score", references, distorted]
    process = subprocess.Popen([*command, "--metrics", "fsim", "--out", out, "--workers", "1"], stderr=subprocess.PIPE)
    while process.poll() is None and (not out.exists() or out.read_bytes().count(b"\n") < 3):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    written = out.read_bytes().count(b"\n") - 1
    assert 0 < written < 30
    pairs = pair_by_name(image_files(distorted), image_files(references))
    metrics = choose_metrics(["fsim"], have_references=True)
    found = score_folder(pairs, distorted, references, metrics, out)
    assert (found.kept, found.scored) == (written, 30 - written)
    score_folder(pairs, distorted, references, metrics, whole)
    assert out.read_bytes() == whole.read_bytes()


def test_chooses_metrics():
    names = lambda *given, have_references=True: [  # noqa: E731
        metric.name for metric in choose_metrics(given, have_references=have_references)
    ]
    assert names() == FULL
    assert names(have_references=False) == ["tv"]
    assert names("PSNR, ms-ssim", "psnr") == ["psnr", "ms_ssim"]
    assert names("nr,fr") == ["tv", *FULL]
    with pytest.raises(ScoreTableError, match=r"'psrn' is unknown; those offered are psnr, ssim"):
        names("psrn")
    with pytest.raises(ScoreTableError, match="'clip_iqa' is not offered: piq reads its weights as a TorchScript"):
        names("clip_iqa")
    with pytest.raises(ScoreTableError, match="psnr compare with a reference: give REF_DIR, or choose from"):
        names("psnr", "tv", have_references=False)


@pytest.mark.parametrize("name", ["lpips", "dists", "pieapp", "brisque"])
def test_says_what_to_fetch_where_there_is_no_network(name, monkeypatch, tmp_path):
    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    with pytest.raises(ScoreTableError) as caught:
        ImageScorer([IMAGE_METRICS[name]])
    for part in (name, "no network", IMAGE_METRICS[name].weights[-1], str(tmp_path / "checkpoints")):
        assert part in str(caught.value)


def test_brisque_with_weights_of_its_shape(monkeypatch, tmp_path, folders):
    """The real weights cannot be had here; random ones of the same shape show that they are read and used safely."""
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    file = tmp_path / "checkpoints" / "brisque_svm_weights.pt"
    file.parent.mkdir()
    generator = torch.Generator().manual_seed(0)
    torch.save((torch.rand(20, 1, generator=generator), torch.rand(20, 36, generator=generator)), file)
    scorer = ImageScorer([IMAGE_METRICS["brisque"]])
    image = folders[1] / "coffee_jpeg.jpg"
    scores, problem = scorer.score(image)
    assert problem == ""
    assert scores["brisque"] == pytest.approx(float(piq.brisque(tensor(image))), rel=1e-5)

    class Program:
        def __reduce__(self):
            return os.system, ("echo run",)

    torch.save(Program(), file)
    with pytest.raises(ScoreTableError, match="brisque needs weights"):
        ImageScorer([IMAGE_METRICS["brisque"]])


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_an_unusable_device_is_one_clear_error(device):
    # Before the first image, also for a metric that has no weights to put there.
    with pytest.raises(ScoreTableError, match=f"the device '{device}' cannot be used"):
        ImageScorer([IMAGE_METRICS["psnr"]], device=device)


def test_the_papers_sixteen_metrics():
    assert len(PAPER_METRICS) == 16
    assert {ours for _, ours, _ in PAPER_METRICS if ours} <= set(IMAGE_METRICS)
    assert all(bool(ours) != bool(why) for _, ours, why in PAPER_METRICS)


def test_the_page_has_the_table_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "map-score-fusion" / "metrics.md").read_text(encoding="utf-8")
    better = {True: "higher", False: "lower", None: "neither"}
    rows = [
        f"| `{metric.name}` | {metric.title} | {'full' if metric.needs_reference else 'none'} "
        f"| {better[metric.higher_is_better]} | {metric.smallest} |{' downloaded' if metric.weights else ''} |\n"
        for metric in IMAGE_METRICS.values()
    ]
    assert "".join(rows) in page
