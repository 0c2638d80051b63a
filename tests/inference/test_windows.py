"""Parts of videos. Frames are numbers here, and the scores of a clip are its frames."""

import math

import numpy as np
import pytest

from vidrec.data.clips.sampling import DenseSampleFrames, SampleFrames, UniformSample
from vidrec.inference.windows import ClipTimes, Windows, clip_times


def parts_of(times, clip, every, end=None, batch_size=1):
    """The parts of a video whose frame i is shown from `times[i]` on, and what scored them."""
    windows = Windows(
        clip, every, lambda i: np.array([i]), lambda clips: clips[..., 0], end, batch_size
    )
    parts = [part for i, time in enumerate(times) for part in windows.push(time, i)]
    return [*parts, *windows.finish()], windows


def shown_at(times, moments):
    """Frames on display, by looking at all of them."""
    return [max([0, *(i for i, t in enumerate(times) if t <= m + 6e-4)]) for m in moments]


@pytest.mark.parametrize("num_frames", [3, 5, 8])
@pytest.mark.parametrize(("fps", "every"), [(30, 1.0), (25, 2.0), (12, 0.5)])
def test_networks_over_segments_see_a_part_as_if_it_were_a_video(fps, every, num_frames):
    sampler = SampleFrames(clip_len=1, num_clips=num_frames, test_mode=True)
    clip = clip_times(sampler, num_frames, fps, every)
    length = round(fps * every)
    parts, _ = parts_of(np.arange(4 * length) / fps, clip, every, 4 * every)
    expected = sampler(length, fps, np.random.default_rng(0))[:, 0]
    assert [(part.start, part.end) for part in parts] == [
        (p * every, (p + 1) * every) for p in range(4)
    ]
    for number, part in enumerate(parts):
        assert part.scores.tolist() == (expected + number * length).tolist()


def test_a_clip_longer_than_a_part_is_around_its_middle_and_within_the_video():
    """8x4 frames at 20 a second: 29 frames; parts of 20."""
    clip = clip_times(SampleFrames(8, 4), 8, 20, 1.0)
    parts, windows = parts_of(np.arange(70) / 20, clip, 1.0, 3.5)
    assert windows.clips_per_part == 1
    starts = [0, 16, 36, 41]  # middles 10, 30, 50 less 14.5, and 70 - 29, rounded up
    assert [part.scores.tolist() for part in parts] == [
        list(range(start, start + 32, 4)) for start in starts
    ]
    assert [part.end for part in parts] == [1, 2, 3, 3.5]


def test_a_part_longer_than_a_clip_is_covered_by_several():
    clip = clip_times(SampleFrames(4, 2), 4, 10, 2.0)  # 7 frames of 20
    parts, windows = parts_of(np.arange(40) / 10, clip, 2.0, 4.0)
    assert windows.clips_per_part == 3
    assert parts_of([], clip, 1.0)[1].clips_per_part == 2  # one would cover seven tenths
    clips = np.array([np.arange(start, start + 8, 2) for start in (0, 6.5, 13)])
    expected = np.ceil(clips).mean(axis=0)
    np.testing.assert_allclose(parts[0].scores, expected, atol=0.34)
    np.testing.assert_allclose(parts[1].scores, expected + 20, atol=0.34)


def test_frames_are_spaced_as_the_sampler_says():
    """At the rate that it counts in, over its range, or over the part."""
    fast = clip_times(SampleFrames(8, 4, target_fps=30), 8, 60, 1.0)
    assert np.diff(fast.offsets) == pytest.approx(4 / 30)
    dense = clip_times(DenseSampleFrames(1, num_clips=8, sample_range=64), 8, 25, 1.0)
    assert np.diff(dense.offsets) == pytest.approx(8 / 25)
    uniform = clip_times(UniformSample(4), 4, 25, 2.0)
    assert uniform.offsets == pytest.approx([0.25, 0.75, 1.25, 1.75])


def test_a_variable_frame_rate_is_followed_by_time():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.3, 200))
    clip = clip_times(SampleFrames(4, 2), 4, 10, 1.5)
    end = times[-1] + 0.1
    parts, windows = parts_of(times, clip, 1.5, end)
    for number, part in enumerate(parts):
        room = (1.5 - clip.span) / (windows.clips_per_part - 1)
        starts = [number * 1.5 + i * room for i in range(windows.clips_per_part)]
        starts = [s for i, s in enumerate(starts) if s < end or i == 0]
        clips = [shown_at(times, min(s, end - clip.span) + clip.offsets) for s in starts]
        assert part.scores == pytest.approx(np.mean(clips, axis=0))
    assert len(parts) == math.floor(times[-1] / 1.5) + 1
    assert parts[-1].end == pytest.approx(end)


@pytest.mark.parametrize("end", [None, 9.0, 30.0])
def test_an_end_that_is_not_known_or_wrong_only_changes_the_last_part(end):
    clip = clip_times(SampleFrames(8, 4), 8, 20, 1.0)
    times = np.arange(206) / 20
    known, _ = parts_of(times, clip, 1.0, 10.3)
    parts, _ = parts_of(times, clip, 1.0, end)
    assert [part.start for part in parts] == [part.start for part in known] == list(range(11))
    for part, right in list(zip(parts, known, strict=True))[:9]:
        assert end == 9.0 or part.scores.tolist() == right.scores.tolist()
    assert parts[-1].end == pytest.approx(10.3 if end != 30.0 else 11)
    assert (np.diff(parts[-1].scores) >= 0).all()
    assert parts[-1].scores.max() == 205 or end == 9.0


def test_a_video_shorter_than_a_clip_repeats_its_last_frame():
    clip = clip_times(SampleFrames(8, 4), 8, 20, 1.0)
    for count in (1, 5):
        (part,), _ = parts_of(np.arange(count) / 20, clip, 1.0, count / 20)
        assert part.scores.tolist() == [min(4 * i, count - 1) for i in range(8)]
        assert part.end == pytest.approx(count / 20)
    assert parts_of([], clip, 1.0)[0] == []


def test_a_picture_that_stands_still_goes_on_being_scored():
    clip = clip_times(SampleFrames(1, num_clips=2), 2, 10, 1.0)
    parts, _ = parts_of([0.0, 0.5, 4.6], clip, 1.0)
    assert [part.scores.tolist() for part in parts] == [[0, 1], [1, 1], [1, 1], [1, 1], [1, 2]]


@pytest.mark.parametrize("batch_size", [2, 3, 100])
@pytest.mark.parametrize("every", [0.3, 2.0])
def test_the_batch_size_changes_nothing(every, batch_size):
    clip = ClipTimes(np.arange(4) * 0.1, 0.4)
    times = np.arange(400) / 25
    alone, _ = parts_of(times, clip, every, 16.0)
    together, _ = parts_of(times, clip, every, 16.0, batch_size)
    assert [(p.start, p.end, p.scores.tolist()) for p in together] == [
        (p.start, p.end, p.scores.tolist()) for p in alone
    ]


def test_as_many_frames_are_held_for_an_hour_as_for_a_minute():
    clip = clip_times(SampleFrames(8, 8), 8, 30, 1.0)
    held = [parts_of(np.arange(n) / 30, clip, 1.0, n / 30)[1].most_held for n in (600, 18_000)]
    assert held[0] == held[1] <= 3 * 8  # at most three clips overlap


def test_no_part_begins_between_the_last_frame_and_the_end():
    clip = clip_times(SampleFrames(1, num_clips=2), 2, 10, 1.0)
    parts, _ = parts_of(np.arange(40) / 10, clip, 1.0, 4.05)
    assert [part.start for part in parts] == [0, 1, 2, 3]


def test_clips_that_begin_after_an_end_that_was_not_known_do_not_count():
    clip = clip_times(SampleFrames(4, 2), 4, 10, 2.0)  # three a part, at 2.0, 2.65 and 3.3 seconds
    parts, _ = parts_of(np.arange(25) / 10, clip, 2.0)
    assert parts[1].scores.tolist() == [20, 22, 24, 24]
