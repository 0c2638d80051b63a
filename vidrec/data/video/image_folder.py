"""Reading chosen frames of a video that was extracted into a folder of JPEG or PNG files."""

import os
import re
from collections.abc import Callable, Iterator

import av
import numpy as np
from av.error import FFmpegError

from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import Cutter, cut, fit_box, place, plane_rows, upright_size

_CODECS = {b"\xff\xd8": "mjpeg", b"\x89PNG": "png"}  # by the first bytes of a file


class FrameReader:
    """Opens folders of frames.

    template: file name of a frame, with its number; for flow preceded by `x` or `y`.
    modality: `RGB`, or `Flow` for two grey images per frame: the displacement in x and in y.
    start_index: number of the first file of a video.
    accurate: cut the boxes of resize-then-crop exactly, for evaluation.
    """

    def __init__(
        self,
        template: str = "img_{:05d}.jpg",
        modality: str = "RGB",
        start_index: int = 1,
        accurate: bool = False,
    ) -> None:
        if modality not in ("RGB", "Flow"):
            raise ValueError(f"modality={modality!r} is neither 'RGB' nor 'Flow'")
        self.template = template
        self.is_flow = modality == "Flow"
        self.num_images = 2 if self.is_flow else 1  # files of one frame
        self.start_index = start_index
        self.accurate = accurate
        example = "{}_{:05d}.jpg" if self.is_flow else "img_{:05d}.jpg"
        try:
            names = {self.file_name(number, self.num_images - 1) for number in (0, 1)}
        except (IndexError, KeyError, ValueError):
            names = set()
        if len(names) != 2:
            raise ValueError(f"template={template!r} does not fit {modality}; use e.g. {example!r}")

    def file_name(self, number: int, image: int) -> str:
        """The name of file `number`; for flow `image` 0 is x and 1 is y."""
        if self.is_flow:
            return self.template.format("xy"[image], number)
        return self.template.format(number)

    def open(
        self, path: str, num_frames: int | None = None, offset: int = 0
    ) -> "ImageFolderDecoder":
        """`num_frames` frames (None: all) of the folder `path`, after the first `offset` ones."""
        return ImageFolderDecoder(self, path, num_frames, offset)


class ImageFolderDecoder(Decoder[list[av.VideoFrame]]):
    """An opened folder of frames."""

    fps = None

    def __init__(self, reader: FrameReader, path: str, num_frames: int | None, offset: int) -> None:
        self.name = path
        self.num_channels = 2 if reader.is_flow else 3
        self._reader = reader
        self._first_number = reader.start_index + offset
        if not os.path.isdir(path):
            raise VideoError(f"{path}: the folder of frames does not exist")
        self.num_frames = self._count() if num_frames is None else num_frames
        if self.num_frames < 1:
            raise VideoError(f"{path}: the annotations give it {self.num_frames} frames")
        self._decoders: dict[str, av.VideoCodecContext] = {}
        self._first = self._decode(0)  # gives the size, and is kept for reading
        self.width, self.height = upright_size(self._first[0], self._path(0, 0))

    def _path(self, index: int, image: int) -> str:
        name = self._reader.file_name(self._first_number + index, image)
        return os.path.join(self.name, name)

    def _count(self) -> int:
        """Number of frames after `offset`; a gap, or x without y, is an error."""
        names = os.listdir(self.name)
        last = self._first_number
        for name in names:
            digits = re.findall(r"\d+", name)
            if digits and self._reader.file_name(int(digits[-1]), 0) == name:
                last = max(last, int(digits[-1]))
        present = set(names)
        count = last - self._first_number + 1
        for index in range(count):
            for image in range(self._reader.num_images):
                path = self._path(index, image)
                if os.path.basename(path) not in present:
                    raise VideoError(f"{path}: the file does not exist")
        return count

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, list[av.VideoFrame]]]:
        for index in wanted:
            yield index, self._first if index == 0 else self._decode(index)

    def _cutter(self, plan: CropPlan) -> Callable[[list[av.VideoFrame], np.ndarray], None]:
        if not self._reader.is_flow:
            cutter = Cutter(plan, self.width, self.height, self._reader.accurate)
            return lambda images, out: cutter(images[0], out)

        def cut_flow(images: list[av.VideoFrame], out: np.ndarray) -> None:
            flow = np.stack([_grey(image) for image in images], axis=-1)
            box = fit_box(plan.box, (self.width, self.height), (flow.shape[1], flow.shape[0]))
            place(cut(flow, box, plan.size, self._reader.accurate), plan, out)
            # Mirrored displacements change sign: -x is stored as 255 - x.
            if plan.flip:
                np.subtract(255, out[..., 0], out=out[..., 0])
            if plan.flip_vertical:
                np.subtract(255, out[..., 1], out=out[..., 1])

        return cut_flow

    def _decode(self, index: int) -> list[av.VideoFrame]:
        """The image of a frame, or its x and y images."""
        images = [self._decode_image(self._path(index, i)) for i in range(self._reader.num_images)]
        if len({(image.width, image.height) for image in images}) > 1:
            raise VideoError(f"{self._path(index, 1)}: the size differs from that of the x image")
        return images

    def _decode_image(self, path: str) -> av.VideoFrame:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise VideoError(f"{path}: the file does not exist") from None
        except OSError as error:
            raise VideoError(f"{path}: the file cannot be read: {error.strerror}") from error
        codec = next((name for start, name in _CODECS.items() if data.startswith(start)), None)
        if codec is None:
            raise VideoError(f"{path}: neither a JPEG nor a PNG image")
        if codec not in self._decoders:
            decoder = av.VideoCodecContext.create(codec, "r")
            assert isinstance(decoder, av.VideoCodecContext)
            decoder.thread_count = 1
            decoder.thread_type = "NONE"
            decoder.options = {"err_detect": "explode"}
            self._decoders[codec] = decoder
        packet = av.Packet(data)
        packet.is_keyframe = True  # otherwise a PNG counts as a difference to the previous one
        try:
            frames = self._decoders[codec].decode(packet)
        except FFmpegError as error:
            raise VideoError(f"{path}: a broken image: {error.strerror}") from error
        if not frames or frames[0].is_corrupt:
            raise VideoError(f"{path}: a broken image")
        return frames[0]


def _grey(image: av.VideoFrame) -> np.ndarray:
    """(H, W) uint8."""
    if not image.format.name.startswith(("gray", "yuv")):
        image = image.reformat(format="gray", threads=1)
    return plane_rows(image.planes[0])[:, : image.width]
