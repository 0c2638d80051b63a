"""What several tasks print."""

from collections.abc import Iterator, Sequence


def of_all(num_scored: int, num_samples: int) -> str:
    """How many samples a score is computed from.

    >>> of_all(19790, 19796)
    '19,790 of 19,796'
    """
    return f"{num_samples:,}" if num_scored == num_samples else f"{num_scored:,} of {num_samples:,}"


def frames_of(clip_len: int, frame_interval: int | None) -> str:
    """The frames of a clip; an interval of None means that they are spread over the video.

    >>> frames_of(8, 4), frames_of(8, None), frames_of(1, None)
    ('8x4 frames', '8 frames', '1 frame')
    """
    interval = "" if frame_interval is None else f"x{frame_interval}"
    return f"{clip_len}{interval} frame{'s' * (clip_len != 1 or bool(interval))}"


def in_both_splits(shared: Sequence[str], num_val: int) -> Iterator[str]:
    """A sentence if some of the validation videos are trained on too."""
    if shared:
        more = ", ..." if len(shared) > 3 else ""
        yield (
            f"{len(shared):,} of {num_val:,} validation videos are training videos too, so that "
            f"the scores are too good: {', '.join(shared[:3])}{more}"
        )
