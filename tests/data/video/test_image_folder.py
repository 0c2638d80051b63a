from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vidrec.data.video.decoder import VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.image_folder import FrameReader

WIDTH, HEIGHT = 60, 40
WHOLE = CropPlan((0, 0, WIDTH, HEIGHT), (HEIGHT, WIDTH))


def picture(number: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([3 * x + number, 4 * y, x + y + 5 * number], axis=-1).astype(np.uint8)


def write(folder: Path, template: str, numbers: range, mode: str = "RGB") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        image = Image.fromarray(picture(number)).convert(mode)
        image.save(folder / template.format(number), quality=95)
    return folder


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_jpeg_frames_equal_those_of_another_decoder(tmp_path):
    folder = write(tmp_path / "clip", "img_{:05d}.jpg", range(1, 8))
    with FrameReader().open(str(folder)) as source:
        assert (source.num_frames, source.width, source.height) == (7, WIDTH, HEIGHT)
        assert source.fps is None
        frames = source.read([6, 0, 3, 0], WHOLE)
    expected = [pixels(folder / f"img_{number:05d}.jpg") for number in (7, 1, 4, 1)]
    # Decoders round and interpolate colour each in their own way.
    assert np.abs(frames.astype(int) - np.stack(expected)).mean() < 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_frames_are_rotated_as_their_exif_data_say(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(3)).save(tmp_path / "img_00001.jpg", quality=95, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "img_00001.jpg")))
    with FrameReader().open(str(tmp_path)) as source:
        assert (source.height, source.width) == expected.shape[:2]
        plan = CropPlan((0, 0, source.width, source.height), (source.height, source.width))
        assert np.abs(source.read([0], plan)[0].astype(int) - expected).mean() < 2


def test_png_frames_are_exact_and_cut_to_the_pixel(tmp_path):
    folder = write(tmp_path / "clip", "{}.png", range(12))
    box = CropPlan((7, 5, 31, 23), (23, 31), flip=True)
    with FrameReader("{}.png", start_index=0).open(str(folder)) as source:
        assert source.num_frames == 12
        frames = source.read([11, 2], box)
    np.testing.assert_array_equal(frames[0], picture(11)[5:28, 7:38][:, ::-1])
    np.testing.assert_array_equal(frames[1], picture(2)[5:28, 7:38][:, ::-1])


def test_the_list_says_which_frames_belong_to_the_video(tmp_path):
    folder = write(tmp_path / "clip", "img_{:05d}.png", range(1, 21))
    with FrameReader("img_{:05d}.png").open(str(folder), 5, offset=10) as source:
        assert source.num_frames == 5
        np.testing.assert_array_equal(source.read([0, 4], WHOLE), [picture(11), picture(15)])
        with pytest.raises(IndexError, match="no frame 5"):
            source.read([5], WHOLE)


@pytest.mark.parametrize("accurate", [False, True])
def test_scaling_is_that_of_an_independent_library(tmp_path, accurate):
    folder = write(tmp_path / "clip", "img_{:05d}.png", range(1, 2))
    reader = FrameReader("img_{:05d}.png", accurate=accurate)
    with reader.open(str(folder)) as source:
        frames = source.read_many([0], [CropPlan((7, 5, 41, 23), (20, 50)), WHOLE])
    part = Image.fromarray(np.ascontiguousarray(picture(1)[5:28, 7:48]))
    reference = np.asarray(part.resize((50, 20), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(frames[0][0] - reference).max() <= 1
    np.testing.assert_array_equal(frames[1][0], picture(1))


def test_flow_has_x_and_y_and_mirroring_turns_the_displacement(tmp_path):
    folder = write(tmp_path / "flow", "x_{:05d}.png", range(1, 4), "L")
    for number in range(1, 4):
        y_image = Image.fromarray(picture(number + 9)).convert("L")
        y_image.save(folder / f"y_{number:05d}.png")
    x, y = (pixels(folder / f"{axis}_00002.png") for axis in "xy")
    with FrameReader("{}_{:05d}.png", "Flow").open(str(folder)) as source:
        assert (source.num_frames, source.num_channels) == (3, 2)
        plain = source.read([1], WHOLE)[0]
        flipped = source.read([1], CropPlan(WHOLE.box, WHOLE.size, flip=True))[0]
        upside_down = source.read([1], CropPlan(WHOLE.box, WHOLE.size, flip_vertical=True))[0]
    np.testing.assert_array_equal(plain, np.stack([x, y], axis=-1))
    np.testing.assert_array_equal(flipped, np.stack([255 - x[:, ::-1], y[:, ::-1]], axis=-1))
    np.testing.assert_array_equal(upside_down, np.stack([x[::-1], 255 - y[::-1]], axis=-1))


def test_missing_and_broken_files_are_named(tmp_path):
    folder = write(tmp_path / "clip", "img_{:05d}.jpg", range(1, 8))
    third = folder / "img_00003.jpg"
    third.write_bytes(third.read_bytes()[:400])
    with (
        FrameReader().open(str(folder), 7) as source,
        pytest.raises(VideoError, match="broken image") as error,
    ):
        source.read([2], WHOLE)
    assert str(third) in str(error.value)
    third.unlink()
    with FrameReader().open(str(folder), 7) as source:
        source.read([0, 6], WHOLE)
        with pytest.raises(VideoError, match=f"{third}: the file does not exist"):
            source.read([0, 2], WHOLE)
    with pytest.raises(VideoError, match=f"{third}: the file does not exist"):
        FrameReader().open(str(folder))  # counting finds the gap


def test_a_list_that_promises_more_frames_than_there_are(tmp_path):
    folder = write(tmp_path / "clip", "img_{:05d}.jpg", range(1, 4))
    with (
        FrameReader().open(str(folder), 5) as source,
        pytest.raises(VideoError, match=r"img_00005\.jpg: the file does not exist"),
    ):
        source.read([4], WHOLE)
    with pytest.raises(VideoError, match=r"img_00001\.jpg: the file does not exist"):
        FrameReader().open(str(tmp_path))
    with pytest.raises(VideoError, match=r"nowhere: the folder of frames does not exist"):
        FrameReader().open(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("template", "modality"),
    [("img.jpg", "RGB"), ("img_{:05d}.jpg", "Flow"), ("{}_{:05d}.jpg", "RGB")],
)
def test_a_template_that_cannot_name_frames_is_refused(template, modality):
    with pytest.raises(ValueError, match="does not fit"):
        FrameReader(template, modality)
