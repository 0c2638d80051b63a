"""Oracles: librosa's and lws's figures, the mel scale worked out by hand, tones and silence."""

import math
import wave

import av
import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.video.decoder import VideoError
from vidrec.data.video.log_mel import LogMel, mel_filters, read_sound, spectrogram

RATE = 16_000
CASES = read_golden("audio/log_mel.json.gz")["cases"]


def tone(hertz, num_samples=RATE, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(num_samples) / rate)


def sweep(num_samples):
    """The signal of the figures."""
    t = np.arange(num_samples) / RATE
    signal = 0.3 * np.sin(2 * np.pi * (200 * t + 900 * t**2)) + 0.01 * np.sin(2 * np.pi * 3000 * t)
    signal[num_samples // 2 : num_samples // 2 + 400] = 0
    return signal.astype(np.float32)


def written(path, channels, rate=RATE):
    """A file of 16-bit samples, (S,) each channel; and what it holds as float."""
    samples = np.round(np.stack(channels, axis=1) * 2**15).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return str(path), (samples / 2**15).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['fft_size']}-{case['hop_size']}")
def test_features_are_those_of_librosa_and_lws(case):
    options = LogMel(fft_size=case["fft_size"], hop_size=case["hop_size"])
    features = options(sweep(case["num_samples"]))
    assert features.shape == tuple(case["shape"])
    assert features.dtype == np.float32
    rows, columns = case["every"]
    np.testing.assert_allclose(features[::rows, ::columns], case["values"], rtol=0, atol=1e-7)
    assert features.mean(dtype=np.float64) == pytest.approx(case["mean"], abs=1e-7)


@pytest.mark.parametrize("case", CASES[:3:2], ids=lambda case: str(case["fft_size"]))
def test_filters_are_those_of_librosa(case):
    filters = mel_filters(LogMel(fft_size=case["fft_size"], hop_size=case["hop_size"]))
    for row, values in case["filter_rows"].items():
        found = filters[int(row)]
        np.testing.assert_allclose(found[found > 0], values, rtol=1e-9)
    assert filters.sum() == pytest.approx(case["filter_sum"], rel=1e-12)


def test_filters_worked_out_by_hand():
    """Two bands from 0 to 1000 Hz, the linear part: corners 0, 333.3, 666.7 and 1000 Hz.

    Bins lie 100 Hz apart; a triangle 666.7 Hz wide is 2 / 666.7 = 0.003 high.
    """
    options = LogMel(sample_rate=2000, fft_size=20, hop_size=10, num_mels=2, fmin=0.0, fmax=1000.0)
    first = [0, 0.3, 0.6, 0.9, 0.8, 0.5, 0.2, 0, 0, 0, 0]
    expected = 0.003 * np.array([first, first[::-1]])
    np.testing.assert_allclose(mel_filters(options), expected, atol=1e-15)


def test_the_scale_is_logarithmic_above_1000_hz():
    """One band from 1000 to 6400 Hz, 27 mel: its peak is half way, at the geometric mean."""
    options = LogMel(fft_size=16_000, hop_size=8000, num_mels=1, fmin=1000.0, fmax=6400.0)
    (band,) = mel_filters(options)
    assert abs(int(band.argmax()) - math.sqrt(1000 * 6400)) <= 0.5
    assert (band > 0).nonzero()[0][[0, -1]].tolist() == [1001, 6399]
    assert band.sum() == pytest.approx(1, abs=1e-6)  # bins are 1 Hz wide


@pytest.mark.parametrize("hertz", [300, 1000, 2500, 6000])
def test_a_tone_lies_in_the_band_around_it(hertz):
    options = LogMel()
    features = options(tone(hertz))[5:-5]
    bins = mel_filters(options)[:, hertz * options.fft_size // RATE]
    assert set(features.argmax(axis=1)) == {int(bins.argmax())}


def test_energy_is_kept():
    """Squares of the window sum to 1 at every sample: Parseval's theorem gives the signal's."""
    signal = np.random.default_rng(0).normal(size=5000)
    for fft_size, hop_size in ((1280, 320), (512, 256), (512, 200)):
        power = spectrogram(signal, fft_size, hop_size) ** 2
        total = 2 * power.sum() - power[:, [0, -1]].sum()
        assert total / fft_size == pytest.approx((signal**2).sum(), rel=1e-3)


def test_blocks_of_frames_do_not_show(monkeypatch):
    signal = sweep(9000)
    whole = LogMel()(signal)
    monkeypatch.setattr("vidrec.data.video.log_mel._BLOCK", 3)
    assert np.array_equal(LogMel()(signal), whole)


def test_silence_is_zero_and_loudness_does_not_matter():
    assert not LogMel()(np.zeros(4000, np.float32)).any()
    np.testing.assert_allclose(LogMel()(tone(440)), LogMel()(0.01 * tone(440)), atol=1e-6)


def test_a_file_gives_what_its_samples_give(tmp_path):
    path, samples = written(tmp_path / "mono.wav", [tone(440)])
    assert np.array_equal(read_sound(path, RATE), samples[:, 0])
    assert np.array_equal(LogMel().of_file(path), LogMel()(samples[:, 0]))


def test_channels_are_averaged(tmp_path):
    path, samples = written(tmp_path / "stereo.wav", [tone(440), 0.2 * tone(1000)])
    assert np.array_equal(read_sound(path, RATE), samples.mean(axis=1))


def test_other_rates_are_resampled(tmp_path):
    path, _ = written(tmp_path / "cd.wav", [tone(440, 44_100, 44_100)], rate=44_100)
    sound = read_sound(path, RATE)
    assert abs(len(sound) - RATE) <= 1
    middle = slice(1000, 15_000)
    np.testing.assert_allclose(sound[middle], tone(440)[middle], atol=2e-3)


def test_files_without_sound(tmp_path):
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(video.encode(frame))
        container.mux(video.encode())
    with pytest.raises(VideoError, match=r"silent\.mp4: there is no sound in it"):
        read_sound(str(silent), RATE)
    empty, _ = written(tmp_path / "empty.wav", [np.zeros(0)])
    with pytest.raises(VideoError, match=r"empty\.wav: .*sound"):
        read_sound(empty, RATE)
    text = tmp_path / "text.wav"
    text.write_text("no sound at all")
    with pytest.raises(VideoError, match=r"text\.wav: decoding its sound failed: "):
        read_sound(str(text), RATE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop_size": 1280}, "hop_size=1280: frames are"),
        ({"fft_size": 1281}, "fft_size=1281"),
        ({"fmax": 9000.0}, r"fmax=9000\.0: bands lie between 0 and half of sample_rate=16000"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        LogMel(**options)


@pytest.mark.parametrize("shape", [(0,), (2, 100)])
def test_sound_of_another_shape(shape):
    with pytest.raises(ValueError, match="one channel of samples is expected"):
        LogMel()(np.zeros(shape))
