"""benchmarks/results.py: its page and its pictures, without the trainings."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def outcome(results):
    return results.Outcome(
        command="python train.py model=bmn",
        task="localization",
        data="shapes_anet",
        score="AUC 0.921",
        first="0.816",
        epochs=4,
        samples="160 / 60",
        seconds=125.0,
        cpu_seconds=61.5,
        seed=0,
    )


def test_pictures_stay_small_and_what_they_show(results, tmp_path):
    rng = np.random.default_rng(0)
    noisy = np.repeat(np.repeat(rng.integers(0, 255, (300, 400, 3), np.uint8), 3, 0), 3, 1)
    results.save_small(Image.fromarray(noisy), tmp_path / "new" / "a.png", limit=200_000)
    assert 20_000 < (tmp_path / "new" / "a.png").stat().st_size < 200_000
    flat = np.full((100, 200, 3), (200, 30, 60), np.uint8)
    flat[:50] = 255
    results.save_small(Image.fromarray(flat), tmp_path / "b.png")
    assert (np.asarray(Image.open(tmp_path / "b.png").convert("RGB")) == flat).all()


def test_parts_of_the_combined_picture_are_whole_and_in_order(results):
    parts = [
        Image.new("RGB", size, colour)
        for size, colour in (((800, 80), "red"), ((3200, 400), "blue"))
    ]
    whole = np.asarray(results.stacked(parts))
    assert whole.shape[1] == 1600
    assert [(whole == colour).all(-1).sum() for colour in ((255, 0, 0), (0, 0, 255))] == [
        1600 * 160,
        1600 * 200,
    ]


def test_the_page_says_how_each_number_came_about(results, outcome):
    text = results.page({"bmn": outcome}, load=0.3)
    assert (
        "| `python train.py model=bmn` | localization | `shapes_anet` | 160 / 60 | AUC 0.921 "
        in text
    )
    assert "| 0.816 | 4 | 1:01 | 2:05 | 0 |" in text
    assert "Nothing else ran on the machine." in text
    assert "real clips" not in text
    clips = dict.fromkeys([*results.EMBEDDED, "lip_0"], outcome)
    text = results.page(clips, load=99.0)
    assert "load average 99.0" in text
    assert "github.com" in text
    assert "shared/" not in text


def test_clips_are_linked_into_splits_that_share_none(results, tmp_path):
    for word in ("cat", "coop"):
        for number in range(1, 12):
            folder = tmp_path / "clips" / "lip_cat_coop" / f"{word}_{number}"
            folder.mkdir(parents=True)
            (folder / "video.mp4").write_bytes(b"x")
    roots = results.lay_out(tmp_path / "clips", tmp_path / "work")
    results.lay_out(tmp_path / "clips", tmp_path / "work")  # again: nothing changes
    found = sorted(roots["lip"].rglob("*.mp4"))
    assert all(path.is_symlink() for path in found)
    val = [p.relative_to(roots["lip"]).as_posix() for p in found if p.parts[-3] == "val"]
    assert val == [f"val/{w}/{w}_{n}.mp4" for w in ("cat", "coop") for n in (10, 11, 6, 7, 8, 9)]
    assert len(found) == 22
