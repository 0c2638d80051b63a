"""Log-mel spectrograms of sound, by the definition of MMAction2's audio features.

They were computed there with the libraries librosa (mel filters) and lws (spectrogram); numpy gives
the same numbers here. Sound of another rate than asked for is resampled by FFmpeg, of which the
last digits depend.
"""

from dataclasses import dataclass
from functools import cache

import av
import numpy as np
from av.error import FFmpegError

from vidrec.data.video.decoder import VideoError

_LOUDNESS = 0.1  # root mean square that sound is scaled to
_LEAST_LOUDNESS = 1e-4  # softer sound is scaled like sound of this root mean square
_RANGE_DB = 100  # between what becomes 0 and what becomes 1
_REFERENCE_DB = 20  # what becomes 1
_BLOCK = 1024  # frames transformed at once, to bound memory


@dataclass(frozen=True)
class LogMel:
    """How spectrograms are computed.

    sample_rate: samples a second.
    fft_size, hop_size: samples of a frame, and from one frame to the next.
    num_mels: bands, between fmin and fmax in Hz.
    """

    sample_rate: int = 16_000
    fft_size: int = 1280
    hop_size: int = 320
    num_mels: int = 80
    fmin: float = 125.0
    fmax: float = 7600.0

    def __post_init__(self) -> None:
        if not 0 < self.hop_size < self.fft_size or self.fft_size % 2:
            raise ValueError(
                f"fft_size={self.fft_size}, hop_size={self.hop_size}: frames are of an even "
                "number of samples and overlap"
            )
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                f"fmin={self.fmin}, fmax={self.fmax}: bands lie between 0 and half of "
                f"sample_rate={self.sample_rate}"
            )

    def of_file(self, path: str) -> np.ndarray:
        """The spectrogram of a file's first sound track, (T, num_mels) float32 in [0, 1]."""
        return self(read_sound(path, self.sample_rate))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """(S,) samples -> (T, num_mels) float32 in [0, 1].

        T = ceil(S / hop_size) + ceil(fft_size / hop_size) - 1: every frame that has a sample.
        """
        if samples.ndim != 1 or not samples.size:
            raise ValueError(f"sound of shape {samples.shape}: one channel of samples is expected")
        samples = samples.astype(np.float64)
        loudness = max(float(np.sqrt(np.mean(samples**2))), _LEAST_LOUDNESS)
        magnitudes = spectrogram(samples * (_LOUDNESS / loudness), self.fft_size, self.hop_size)
        mel = magnitudes @ mel_filters(self).T
        decibels = 20 * np.log10(np.maximum(mel, 10 ** (-_RANGE_DB / 20))) - _REFERENCE_DB
        return np.clip((decibels + _RANGE_DB) / _RANGE_DB, 0, 1).astype(np.float32)


def read_sound(path: str, sample_rate: int) -> np.ndarray:
    """The first sound track of a file: the mean of its channels, (S,) float32.

    Raises VideoError if there is none or it cannot be decoded.
    """
    parts = []
    try:
        with av.open(path, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise VideoError(f"{path}: there is no sound in it")
            resampler = av.AudioResampler(format="fltp", rate=sample_rate)
            for frame in container.decode(container.streams.audio[0]):
                parts += [part.to_ndarray() for part in resampler.resample(frame)]
            if parts:
                parts += [part.to_ndarray() for part in resampler.resample(None)]
    except (FFmpegError, ValueError) as error:  # ValueError: the format changes on the way
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{path}: decoding its sound failed: {reason}") from error
    if not parts:
        raise VideoError(f"{path}: its sound track is empty")
    return np.concatenate(parts, axis=1).mean(axis=0)


def spectrogram(samples: np.ndarray, fft_size: int, hop_size: int) -> np.ndarray:
    """Magnitudes of the short-time Fourier transform, (S,) -> (T, fft_size / 2 + 1) float64."""
    lead = fft_size - (fft_size % hop_size or hop_size)
    num_frames = (lead + len(samples) + hop_size - 1) // hop_size
    padded = np.zeros((num_frames - 1) * hop_size + fft_size)
    padded[lead : lead + len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop_size]
    window = _window(fft_size, hop_size)
    magnitudes = np.empty((num_frames, fft_size // 2 + 1))
    for start in range(0, num_frames, _BLOCK):
        block = frames[start : start + _BLOCK]
        magnitudes[start : start + _BLOCK] = np.abs(np.fft.rfft(block * window))
    return magnitudes


def _window(size: int, hop: int) -> np.ndarray:
    """Root of a Hann window without zeros, whose squares at all hops sum to 1."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size)
    num_hops = -(-size // hop)
    padded = np.zeros(num_hops * hop)
    padded[:size] = hann
    total = np.tile(padded.reshape(num_hops, hop).sum(axis=0), num_hops)[:size]
    return np.sqrt(hann / total)


@cache
def mel_filters(options: LogMel) -> np.ndarray:
    """Triangles of area 1 over frequency in Hz, (num_mels, fft_size / 2 + 1) float64.

    Their corners are evenly spaced on the mel scale of Slaney's Auditory Toolbox (1998).
    """
    ends = _hertz_to_mel(np.array([options.fmin, options.fmax]))
    corners = _mel_to_hertz(np.linspace(ends[0], ends[1], options.num_mels + 2))
    frequencies = np.arange(options.fft_size // 2 + 1) * (options.sample_rate / options.fft_size)
    left, centre, right = (corners[i : i + options.num_mels, None] for i in range(3))
    rising = (frequencies - left) / (centre - left)
    falling = (right - frequencies) / (right - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)
    filters.setflags(write=False)  # shared by all callers
    return filters


# Slaney's scale is linear up to 1000 Hz, which is 15 mel, and logarithmic above.
_BREAK_HERTZ, _BREAK_MEL = 1000.0, 15.0
_HERTZ_A_MEL = _BREAK_HERTZ / _BREAK_MEL
_LOG_STEP = np.log(6.4) / 27  # 27 mel from 1000 to 6400 Hz


def _hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    above = _BREAK_MEL + np.log(np.maximum(hertz, _BREAK_HERTZ) / _BREAK_HERTZ) / _LOG_STEP
    return np.where(hertz < _BREAK_HERTZ, hertz / _HERTZ_A_MEL, above)


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    above = _BREAK_HERTZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, mel * _HERTZ_A_MEL, above)
