"""Samplers against figures computed with MMAction2 1.2.0, and against hand-made cases.

tests/golden/sampling.json.gz: a random part of the frame numbers that its samplers give for all
combinations of the arguments in `columns`, counted from 0. For training: the first frame of each
clip of the first draw after numpy.random.seed(0), where the clips start at all (else null), and the
smallest and largest over the 200 draws that follow.
"""

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.clips import sampling
from vidrec.data.clips.sampling import (
    DenseSampleFrames,
    SampleFrames,
    UniformSample,
    UniformSampleFrames,
    UntrimmedSampleFrames,
)

GOLDEN = read_golden("sampling.json.gz")


class OldStream:
    """numpy's older generator, which the figures were drawn with, under the newer one's names."""

    def __init__(self, seed):
        self.state = np.random.RandomState(seed)

    def integers(self, low, high=None, size=None):
        return self.state.randint(low, high, size=size)

    def uniform(self, low, high, size):
        return self.state.uniform(low, high, size)


def rows(name):
    return [dict(zip(GOLDEN[name]["columns"], row, strict=True)) for row in GOLDEN[name]["rows"]]


def arguments(row):
    names = {"out_of_bound_opt": "out_of_bound"}
    left_out = ("total_frames", "avg_fps", "frame_inds", "first_draw", "min_first", "max_first")
    return {names.get(k, k): v for k, v in row.items() if not k.startswith(left_out)}


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("sample_frames_test", SampleFrames),
        ("sample_frames_target_fps_test", SampleFrames),
        ("dense_sample_frames_test", DenseSampleFrames),
        ("uniform_sample_test", UniformSample),
        ("uniform_sample_frames_test", UniformSampleFrames),
    ],
)
def test_frames_in_test_mode_equal_the_published_ones(name, sampler):
    for row in rows(name):
        frames = sampler(**arguments(row), test_mode=True)(
            row["total_frames"], row.get("avg_fps"), np.random.default_rng(0)
        )
        assert frames.dtype == np.int64
        assert frames.shape[1] == row["clip_len"], row
        assert frames.reshape(-1).tolist() == row["frame_inds"], row


def test_untrimmed_frames_equal_the_published_ones_where_there_are_any():
    failed = 0
    for row in rows("untrimmed_sample_frames"):
        frames = UntrimmedSampleFrames(**arguments(row))(
            row["total_frames"], None, np.random.default_rng(0)
        )
        if isinstance(row["frame_inds"], str):  # the error that the reference raised
            failed += 1
            assert row["total_frames"] <= row["clip_interval"] // 2
            assert frames.shape == (1, row["clip_len"])
            assert frames[0, row["clip_len"] // 2] == row["total_frames"] // 2
        else:
            assert frames.reshape(-1).tolist() == row["frame_inds"], row
    assert failed > 0


def test_training_draws_equal_the_published_ones_from_the_same_random_numbers():
    compared = 0
    for row in rows("sample_frames_train"):
        sampler, stream = SampleFrames(**arguments(row)), OldStream(0)
        first = sampler(row["total_frames"], None, stream)
        if row["first_draw_after_np_random_seed_0"] is not None:
            compared += 1
            assert first.reshape(-1).tolist() == row["first_draw_after_np_random_seed_0"], row
        starts = np.stack([sampler(row["total_frames"], None, stream)[:, 0] for _ in range(200)])
        assert starts.min(axis=0).tolist() == row["min_first_frame_per_clip_over_200"], row
        assert starts.max(axis=0).tolist() == row["max_first_frame_per_clip_over_200"], row
    assert compared > 100


def draws(sampler, num_frames, times=3000, fps=None):
    rng = np.random.default_rng(0)
    return np.stack([sampler(num_frames, fps, rng) for _ in range(times)])


def test_training_clips_start_uniformly_in_their_segments():
    starts = draws(SampleFrames(4, 2, num_clips=3), 38)[..., 0]  # 31 starts, 10 a segment
    for clip in range(3):
        values, counts = np.unique(starts[:, clip], return_counts=True)
        assert values.tolist() == list(range(10 * clip, 10 * clip + 10))
        assert counts.min() > 220  # of 300 expected


def test_tail_frames_are_reached_only_when_kept():
    # One-frame clips, 3 segments of 11 frames: segments of 3 frames leave out frames 9 and 10.
    plain = draws(SampleFrames(1, num_clips=3), 11)
    kept = draws(SampleFrames(1, num_clips=3, keep_tail_frames=True), 11)
    assert plain.max() == 8
    assert kept.max() == 10


@pytest.mark.parametrize("test_mode", [False, True])
def test_jitter_moves_every_frame_apart_within_its_interval(test_mode):
    sampler = SampleFrames(3, 4, temporal_jitter=True, test_mode=test_mode)
    still = SampleFrames(3, 4, test_mode=True)(9, None, None)[0]  # 9 frames: one possible clip
    moved = draws(sampler, 12 if not test_mode else 9)[:, 0]
    moved = moved[(np.diff(moved) > 0).all(axis=1)]  # not looped
    assert [np.unique(moved[:, i] - still[i]).tolist() for i in range(2)] == [[0, 1, 2, 3]] * 2
    assert abs(np.corrcoef(moved[:, 0], moved[:, 1])[0, 1]) < 0.1


def test_frames_past_the_end_loop_or_repeat():
    assert SampleFrames(6, 2, out_of_bound="loop", test_mode=True)(7, None, None).tolist() == [
        [0, 2, 4, 6, 1, 3]
    ]
    repeat = SampleFrames(6, 2, out_of_bound="repeat_last", test_mode=True)(7, None, None)
    assert repeat.tolist() == [[0, 2, 4, 6, 6, 6]]


def test_sampling_one_clip_twice_takes_both_ends():
    frames = SampleFrames(3, 2, twice_sample=True, test_mode=True)(20, None, None)
    assert frames.tolist() == [[0, 2, 4], [15, 17, 19]]


def test_half_the_frame_rate_halves_the_distance():
    sampler = SampleFrames(5, 4, target_fps=30, test_mode=True)
    assert np.diff(sampler(1000, 15.0, None)[0]).max() <= 3
    full, unknown = sampler(1000, 30.0, None), sampler(1000, None, None)
    np.testing.assert_array_equal(full, unknown)


@pytest.mark.parametrize("num_frames", [1, 5, 40, 1000])
@pytest.mark.parametrize("fps", [7.3, 30.0, 60.0])
def test_training_at_a_target_rate_stays_in_the_video(num_frames, fps):
    for keep_tail_frames in (False, True):
        sampler = SampleFrames(8, 3, 2, target_fps=30, keep_tail_frames=keep_tail_frames)
        frames = draws(sampler, num_frames, times=50, fps=fps)
        assert frames.shape[1:] == (2, 8)
        assert frames.min() >= 0
        assert frames.max() < num_frames
        if num_frames == 1000:  # nothing loops
            assert (np.diff(frames) >= 0).all()


def test_dense_training_draws_one_range_for_all_clips():
    starts = draws(DenseSampleFrames(1, 1, 4, sample_range=64), 74)[..., 0]
    np.testing.assert_array_equal(starts - starts[:, :1], np.tile([0, 16, 32, 48], (3000, 1)))
    # The published draw leaves out the last of the 11 places.
    assert np.unique(starts[:, 0]).tolist() == list(range(10))
    short = draws(DenseSampleFrames(1, 1, 4, sample_range=64), 20, times=5)[..., 0]
    assert np.unique(short, axis=0).tolist() == [[0, 16, 12, 8]]  # one place; loops past the end


def test_uniform_training_draws_each_part_for_itself():
    frames = draws(UniformSample(4, num_clips=2), 41)  # edges 0, 10, 20, 30, 40, both included
    for part in range(4):
        values, counts = np.unique(frames[..., part], return_counts=True)
        assert values.tolist() == list(range(10 * part, 10 * part + 11))
        assert counts.min() > 400  # of 545 expected
    assert abs(np.corrcoef(frames[:, 0, 0], frames[:, 1, 0])[0, 1]) < 0.1


@pytest.mark.parametrize("num_frames", [1, 5, 8, 11, 16, 100])
def test_uniform_frames_in_training_cover_the_video_in_order(num_frames):
    frames = draws(UniformSampleFrames(8, num_clips=2), num_frames, times=2000)
    assert frames.shape[1:] == (2, 8)
    assert np.unique(frames).tolist() == list(range(num_frames))
    if num_frames >= 8:
        assert (np.diff(frames) > 0).all()
    if num_frames >= 16:  # one from each part
        edges = np.arange(9) * num_frames // 8
        assert (frames >= edges[:-1]).all()
        assert (frames < edges[1:]).all()
    if num_frames == 5:  # loops from any start
        assert (np.diff(frames) % 5 == 1).all()


def test_uniform_test_frames_leave_the_global_generator_alone():
    np.random.seed(3)  # noqa: NPY002, the state of the older generator is the point
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = UniformSampleFrames(8, test_mode=True)(100, None, np.random.default_rng(0))
    again = UniformSampleFrames(8, test_mode=True)(100, None, np.random.default_rng(9))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.testing.assert_array_equal(first, again)


SAMPLERS = [
    SampleFrames(4, 2, 3),
    DenseSampleFrames(4, 2, 3),
    UniformSample(4, 3),
    UniformSampleFrames(4, 3),
    UntrimmedSampleFrames(4),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_a_video_without_frames_is_refused(sampler):
    for num_frames in (0, -3):
        with pytest.raises(ValueError, match=f"num_frames={num_frames} must be .* at least 1"):
            sampler(num_frames, 30.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampleFrames(0), "clip_len=0"),
        (lambda: SampleFrames(1, frame_interval=-1), "frame_interval=-1"),
        (lambda: SampleFrames(1, num_clips=1.5), "num_clips=1.5"),
        (lambda: SampleFrames(1, out_of_bound="wrap"), "out_of_bound='wrap'.*'repeat_last'"),
        (lambda: SampleFrames(1, target_fps=0), "target_fps=0"),
        (lambda: DenseSampleFrames(1, sample_range=0), "sample_range=0"),
        (lambda: DenseSampleFrames(1, num_sample_positions=0), "num_sample_positions=0"),
        (lambda: DenseSampleFrames(1, out_of_bound=""), "out_of_bound=''"),
        (lambda: UniformSample(8, num_clips=0), "num_clips=0"),
        (lambda: UniformSampleFrames(-8), "clip_len=-8"),
        (lambda: UntrimmedSampleFrames(clip_interval=0), "clip_interval=0"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


VIEWS = {
    "segments": SampleFrames(1, num_clips=8),
    "segments twice": SampleFrames(1, num_clips=8, twice_sample=True),
    "segments in test": SampleFrames(1, num_clips=25, test_mode=True),
    "segments twice in test": SampleFrames(1, num_clips=8, twice_sample=True, test_mode=True),
    "one clip twice in test": SampleFrames(8, 4, twice_sample=True, test_mode=True),
    "clips in test": SampleFrames(8, 4, num_clips=10, test_mode=True),
    "clips twice in test": SampleFrames(8, 4, num_clips=3, twice_sample=True, test_mode=True),
    "dense": DenseSampleFrames(8, 4, num_clips=2),
    "dense in test": DenseSampleFrames(8, 4, num_clips=2, num_sample_positions=5, test_mode=True),
    "uniform": UniformSample(8, num_clips=3),
    "uniform in test": UniformSample(8, num_clips=3, test_mode=True),
    "uniform frames": UniformSampleFrames(8, num_clips=2),
    "uniform frames in test": UniformSampleFrames(8, num_clips=4, test_mode=True),
    "untrimmed": UntrimmedSampleFrames(8, clip_interval=16, frame_interval=4),
}


@pytest.mark.parametrize("sampler", VIEWS.values(), ids=VIEWS)
def test_a_sampler_says_how_many_clips_of_which_frames_it_returns(sampler):
    drawn = {
        length: sampler(length, 30.0, np.random.default_rng(0)) for length in (12, 300, 301, 999)
    }
    counts = {len(clips) for clips in drawn.values()}
    assert sampler.num_views == (counts.pop() if len(counts) == 1 else None)
    assert {clips.shape[1] for clips in drawn.values()} == {sampler.clip_len}
    # Clips that do not reach an end of the video, where frames repeat.
    inner = [clip for clip in drawn[999] if clip.min() > 40 and clip.max() < 950]
    steps = {step for clip in inner for step in np.diff(clip).tolist()}
    assert steps <= {sampler.frame_interval} if sampler.frame_interval else len(steps) > 1


def test_every_sampler_is_among_them():
    """One that is added to the module must be among those above."""
    classes = {
        value
        for value in vars(sampling).values()
        if isinstance(value, type) and value.__module__ == sampling.__name__
    }
    assert {type(sampler) for sampler in VIEWS.values()} == classes - {sampling.Sampling}
