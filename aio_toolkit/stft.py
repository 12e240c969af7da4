"""The STFT of frames: each frame has a fixed number of sub-frames, over its own samples.

A centred STFT gives a sub-frame more than the frames hold; this one does not, so masks that a model
emits frame by frame fit its spectrum. Letters: X rows of any meaning, S samples, T frames,
K sub-frames, F frequencies, W samples of a window.
"""

import torch
import torch.nn.functional as F
from torch import nn

from aio_toolkit.errors import AioError


class SubframeStft(nn.Module):
    """Waves to spectra of K = T * subframes columns, and back.

    Sub-frame k stands over the samples from k * step on, its window reaches beyond them on both
    sides by equal parts, and there is silence around the wave.

    Attributes:
        subframes: sub-frames of a frame.
        step: samples from one sub-frame to the next.
        num_frequencies: frequencies F.

    >>> stft = SubframeStft(hop=320)
    >>> wave_XS = torch.randn(2, 900)
    >>> spectrum_XKF = stft(wave_XS)
    >>> spectrum_XKF.shape
    torch.Size([2, 6, 257])
    >>> columns_X = torch.tensor([6, 6])
    >>> torch.allclose(stft.inverse(spectrum_XKF, columns_X, 900), wave_XS, atol=1e-5)
    True
    """

    window_W: torch.Tensor

    def __init__(self, hop: int, subframes: int = 2, window: float = 3.2):
        """Prepare the window.

        Args:
            hop: samples of a frame.
            subframes: sub-frames of a frame; must divide `hop`.
            window: length of the window in sub-frames, more than one.

        Raises:
            AioError: sub-frames do not fit the frame, or the window has gaps between them.
        """
        super().__init__()
        if subframes < 1 or hop % subframes:
            problem = f"{subframes} sub-frames do not divide a frame of {hop} samples"
            raise AioError(f"subframes: {problem}. Give a divisor.")
        if window <= 1:
            raise AioError(f"window: {window} sub-frames leave gaps; it must be more than 1.")
        self.subframes = subframes
        self.step = hop // subframes
        # Even, so that both halves of the real Fourier transform are there.
        length = 2 * round(window * self.step / 2)
        self.num_frequencies = length // 2 + 1
        # Samples of a window before those of its own sub-frame.
        self.lead = (length - self.step) // 2
        window_W = torch.hann_window(length)
        self.register_buffer("window_W", window_W, persistent=False)

    def columns(self, frames_X: torch.Tensor) -> torch.Tensor:
        """Sub-frames (X,) of rows of so many frames."""
        return frames_X * self.subframes

    def forward(self, wave_XS: torch.Tensor) -> torch.Tensor:
        """Complex spectra (X, K, F) of waves that are zero on padding, in float32."""
        S, W = wave_XS.shape[-1], len(self.window_W)
        hop = self.step * self.subframes
        K = -(-S // hop) * self.subframes
        trail = (K - 1) * self.step + W - self.lead - S
        padded_XS = F.pad(wave_XS.float(), (self.lead, trail))
        pieces_XKW = padded_XS.unfold(1, W, self.step)
        return torch.fft.rfft(pieces_XKW * self.window_W)

    def inverse(
        self, spectrum_XKF: torch.Tensor, columns_X: torch.Tensor, num_samples: int
    ) -> torch.Tensor:
        """Waves (X, S) whose spectra are nearest (Griffin & Lim 1984).

        X may be several dimensions, of which columns may have one for many: sources of a row share
        what is computed of its length.

        1. Silence the sub-frames that a row does not have: they must not reach into its last ones.
        2. Transform back, window again, and add what overlaps.
        3. Divide by the sum of squared windows of the sub-frames that the row has.

        Args:
            spectrum_XKF: complex spectra.
            columns_X: real sub-frames of each row.
            num_samples: samples S of the result; those beyond a row's last frame are zero.
        """
        W, K = len(self.window_W), spectrum_XKF.shape[-2]
        place_K = torch.arange(K, device=columns_X.device)
        real_XK1 = (place_K < columns_X[..., None]).float()[..., None]
        pieces_XKW = torch.fft.irfft(spectrum_XKF, n=W) * self.window_W
        wave_XS = self._overlap_add(pieces_XKW * real_XK1)

        weight_XS = self._overlap_add(self.window_W.square() * real_XK1)
        # Where no window reaches there is nothing to divide.
        wave_XS = wave_XS / weight_XS.clamp_min(1e-8)
        return wave_XS[..., self.lead : self.lead + num_samples]

    def _overlap_add(self, pieces_XKW: torch.Tensor) -> torch.Tensor:
        """Waves of pieces that begin a step after one another.

        Pieces are cut into steps: all first steps in a row are a wave, all second steps another
        that begins a step later, and so on.
        """
        W = pieces_XKW.shape[-1]
        num_steps = -(-W // self.step)
        whole_XKW = F.pad(pieces_XKW, (0, num_steps * self.step - W))
        waves = []
        for place, part_XKS in enumerate(whole_XKW.split(self.step, dim=-1)):
            shifted_XKS = F.pad(part_XKS, (0, 0, place, num_steps - 1 - place))
            waves.append(shifted_XKS.flatten(-2))
        return sum(waves[1:], waves[0])
