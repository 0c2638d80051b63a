"""Outputs of layers as maps over time, rows and columns, whatever axes a network keeps them in."""

import torch
from torch import Tensor

Size = tuple[int, int, int]  # time, rows, columns


class MapReader:
    """Recognises the maps among the outputs of the layers of one clip, in their order.

    Maps of convolutions and of windows say their size themselves; tokens have that of the last map
    before them that has as many positions. Class tokens are left out.

    clip: frames, height and width of the clip. time_last: the tokens of a clip are the frames of
        each patch one after the other, as in TimeSformer; by default the patches of each frame.
    """

    def __init__(self, clip: Size, time_last: bool = False) -> None:
        self.clip = clip
        self.time_last = time_last
        self._sizes: list[Size] = []  # of the maps so far, the last one first

    def see(self, output: object) -> None:
        """Note the sizes of maps that a layer returns, or says beside its tokens."""
        for part in output if isinstance(output, tuple | list) else (output,):
            if isinstance(part, tuple | list | torch.Size) and len(part) == 3:
                if all(isinstance(length, int) for length in part):
                    self._add((part[0], part[1], part[2]))
            elif isinstance(part, Tensor) and (size := self._size_of(part)) is not None:
                self._add(size)

    def read(self, output: Tensor) -> Tensor | None:
        """A view (M, C, t, h, w) of an output for one clip; None if it is no map.

        M is 1, or the number of frames if the layer sees one frame at a time; then t is 1.
        """
        frames = self.clip[0]
        if output.ndim == 5 and output.shape[0] == 1:
            if self._fits(output.shape[3], output.shape[4]) and output.shape[2] <= frames:
                return output
            if self._fits(output.shape[2], output.shape[3]) and output.shape[1] <= frames:
                return output.movedim(-1, 1)
        if output.ndim == 4 and output.shape[0] == frames:
            if self._fits(output.shape[2], output.shape[3]):
                return output.unsqueeze(2)
            if self._fits(output.shape[1], output.shape[2]):
                return output.movedim(-1, 1).unsqueeze(2)
        if output.ndim == 4 and output.shape[0] == 1:
            return self._tokens(output[0]) if output.shape[1] in self._times() else None
        if output.ndim == 3 and output.shape[0] in (1, frames):
            return self._tokens(output)
        return None

    def _tokens(self, tokens: Tensor) -> Tensor | None:
        """Tokens (rows, L, C), of a clip or of each of its frames; class tokens come first."""
        rows, length = tokens.shape[:2]
        for time, height, width in self._sizes:
            area = height * width
            if rows == 1 and 0 <= length - time * area <= 1:
                return self._of_clip(tokens[:, length - time * area :], (time, height, width))
            if rows == 1 and length == time * (1 + area):  # a class token for each frame
                tokens = tokens.unflatten(1, (time, 1 + area))[:, :, 1:].flatten(1, 2)
                return tokens.unflatten(1, (time, height, width)).movedim(-1, 1)
            if rows > 1 and rows in (time, self.clip[0]) and 0 <= length - area <= 1:
                frames = tokens[:, length - area :].unflatten(1, (height, width))
                return frames.movedim(-1, 1).unsqueeze(2)
        return None

    def _of_clip(self, tokens: Tensor, size: Size) -> Tensor:
        if self.time_last:
            time, height, width = size
            return tokens.unflatten(1, (height, width, time)).permute(0, 4, 3, 1, 2)
        return tokens.unflatten(1, size).movedim(-1, 1)

    def _size_of(self, output: Tensor) -> Size | None:
        """Of a map with any number of rows: heads have maps of their own."""
        shape = output.shape
        if output.ndim == 5:
            if self._fits(shape[3], shape[4]) and shape[2] <= self.clip[0]:
                return shape[2], shape[3], shape[4]
            if self._fits(shape[2], shape[3]) and shape[1] <= self.clip[0]:
                return shape[1], shape[2], shape[3]
        if output.ndim == 4 and shape[0] == self.clip[0]:
            if self._fits(shape[2], shape[3]):
                return 1, shape[2], shape[3]
            if self._fits(shape[1], shape[2]):
                return 1, shape[1], shape[2]
        return None

    def _fits(self, rows: int, columns: int) -> bool:
        """Whether a map has the shape of the frames, up to rounding, and more than one place."""
        _, height, width = self.clip
        if rows * columns == 1 or rows > height or columns > width:
            return False
        stride = max(height / rows, width / columns)
        return abs(height / stride - rows) <= 1 and abs(width / stride - columns) <= 1

    def _times(self) -> set[int]:
        return {self.clip[0], *(size[0] for size in self._sizes)}

    def _add(self, size: Size) -> None:
        if size not in self._sizes[:1]:
            self._sizes.insert(0, size)
