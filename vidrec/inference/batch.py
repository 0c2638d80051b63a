"""Predictions of many videos: in order, on one rank or several, each written as it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vidrec.config.schema import Precision
from vidrec.data.video.decoder import VideoError
from vidrec.engine.distributed import Distributed
from vidrec.engine.evaluate import autocast
from vidrec.errors import sentence
from vidrec.files.signature import version_of
from vidrec.inference.prediction import Prediction
from vidrec.inference.predictors import Predictor
from vidrec.inference.saved import SavedPredictions
from vidrec.progress import track


@dataclass(frozen=True)
class Batch:
    """The videos of one call of the command, of which each rank predicts its share.

    videos: paths by the names of their results. output: where they are written, which several
    ranks need. pictures: those that are asked for, `video` and `timeline`.
    """

    videos: dict[str, str]
    predictor: Predictor
    output: SavedPredictions | None
    pictures: Sequence[str]
    precision: str
    dist: Distributed

    def done(self) -> set[str]:
        """Names of the videos that need not be repeated. Checks and marks the output folder.

        Every rank has seen what is missing before the first one writes something.
        """
        if self.output is None:
            return set()
        self.output.check(self.videos)
        done = {
            name
            for name, path in self.videos.items()
            if self.output.read(name, path) and not self.output.missing(name, self.pictures)
        }
        self.dist.barrier()
        if self.dist.rank == 0:
            self.output.mark()
        return done

    def run(
        self, done: set[str], show: Callable[[Prediction], None], note: Callable[[str], None]
    ) -> bool:
        """Predict all videos but those that are done, and show all of them in order.

        show: on one rank it is called as they come, on several at the end by rank 0. note: gets a
        sentence for each video that failed. Returns whether none did, on any rank.
        """
        missing = [name for name in self.videos if name not in done]
        alone = self.dist.world == 1
        names = list(self.videos) if alone else missing[self.dist.rank :: self.dist.world]
        num_failed = 0
        for name in track(names, "videos", self.dist.rank == 0):
            try:
                found = self._saved(name) if name in done else self._make(name)
            except VideoError as error:
                note(f"error: {sentence(error)}")
                num_failed += 1
                continue
            if alone and found is not None:
                show(found)
        if num_failed and len(names) > 1:
            note(f"error: {num_failed} of {len(names)} videos failed, for the reasons above")
        any_failed = self.dist.any(num_failed > 0)  # every rank is done
        if not alone and self.dist.rank == 0:
            for saved in filter(None, map(self._saved, self.videos)):
                show(saved)
        return not any_failed

    def unsaved(self) -> list[str]:
        """Names of the videos of which nothing is written."""
        return [name for name in self.videos if self._saved(name) is None]

    def _saved(self, name: str) -> Prediction | None:
        return self.output.read(name, self.videos[name]) if self.output else None

    def _make(self, name: str) -> Prediction:
        """Predict, and draw what is missing. Raises VideoError if the video cannot be read."""
        path = self.videos[name]
        version = version_of(path)
        if self.output and (found := self._saved(name)):
            self.output.draw(name, found, self.output.missing(name, self.pictures))
            return found
        with autocast(self.dist.device, Precision(self.precision)):
            found = self.predictor(path)
        if self.output:
            outdated = self.output.outdated(name, self.pictures)
            try:
                self.output.draw(name, found, outdated)
            finally:  # last, so that what is there is complete
                self.output.write(name, found, version)
        return found
