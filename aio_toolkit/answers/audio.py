"""Audio: a wave for each source, in units of a codec's codes."""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, override

import numpy as np
import torch

from aio_toolkit.answers._sources_reader import SourcesReader
from aio_toolkit.answers.audio_target import AudioTarget, AudioTargets, pad_targets
from aio_toolkit.answers.base import AnswerKind, TargetSource, Units
from aio_toolkit.answers.decoded_audio import (
    DecodedAudio,
    WavePaths,
    find_waves,
    has_all_waves,
    list_waves,
    write_waves,
)
from aio_toolkit.answers.lists import check_complete
from aio_toolkit.answers.sources import all_sources, present_targets
from aio_toolkit.codec.base import NEW_FOLDERS, CodecFingerprint, check_same, load_codec
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.sources import read_input, read_wave
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task
from aio_toolkit.tensor_files import read_torch, write_torch

UNITS_FILE = "codec.pt"
# Names that files of a data dir have already.
RESERVED = ("wav", "text")


class Match(StrEnum):
    """How estimates meet references: each has its own, or the best permutation counts."""

    query = "query"
    permutation = "permutation"


@dataclass(frozen=True)
class CodecUnits(Units):
    """What codes mean.

    Attributes:
        fingerprint: the codec's.
        embedding_QVC: vector of every code; their sum over Q is the codec's latent.
        silence_Q: codes of digital silence, the answer for a source that is absent.

    >>> fingerprint = CodecFingerprint("tiny", "0", 16000, 320, 2, 16, 8)
    >>> units = CodecUnits(fingerprint, torch.zeros(2, 16, 8), torch.tensor([3, 0]))
    >>> CodecUnits.from_state(units.state()).silence_Q
    tensor([3, 0])
    """

    fingerprint: CodecFingerprint
    embedding_QVC: torch.Tensor
    silence_Q: torch.Tensor

    @override
    def state(self) -> dict[str, Any]:
        """The fingerprint as a dict, and the tensors."""
        return {
            "fingerprint": dict(vars(self.fingerprint)),
            "embedding_QVC": self.embedding_QVC,
            "silence_Q": self.silence_Q,
        }

    @classmethod
    @override
    def from_state(cls, state: dict[str, Any]) -> "CodecUnits":
        """The units that `state` came from."""
        fingerprint = CodecFingerprint(**state["fingerprint"])
        return cls(fingerprint, state["embedding_QVC"], state["silence_Q"])

    @override
    def needed(self, wanted: Collection[str]) -> "CodecUnits":
        """Without the vectors, the most of it, where codes come from the codec alone."""
        if "codes" in wanted:
            return self
        return dataclasses.replace(self, embedding_QVC=self.embedding_QVC[:0])

    @override
    def check_same(self, other: Units, where: str) -> None:
        """Codes are of the same codec."""
        if not isinstance(other, CodecUnits):
            raise AioError(f"{where}: the units are not those of a codec.")
        check_same(self.fingerprint, other.fingerprint, where)


class Audio(AnswerKind):
    """Waves of the sources of a mixture.

    In a data dir each target has a file `<target>.scp`; `answers.decoded_audio` tells of decoded
    waves.

    >>> Audio().file_of("vocals")
    'vocals.scp'
    """

    units = CodecUnits
    can_be_cut = True

    @dataclass
    class Config:
        """Options of an audio task.

        Attributes:
            match: how estimates meet references.
            residual: what the mixture holds besides the targets. It is predicted, so that every
                mask has a rival, and not scored; stage 2 makes it by subtraction.
        """

        match: Match = Match.query
        residual: str | None = None

    @dataclass
    class Fit:
        """Options of stage 2.

        Attributes:
            codec: folder, file or name of the codec.
        """

        codec: str = "exp/codec"

    @override
    def file_of(self, target: str) -> str:
        """An scp file of the target's name."""
        return f"{target}.scp"

    @override
    def check_task(self, task: Task) -> str | None:
        """Names of sources differ and can be those of files; a permutation is of two at least."""
        names = all_sources(task)
        for name in names:
            if not name.isidentifier() or name in RESERVED:
                taken = ", ".join(RESERVED)
                rule = "Use letters, digits and underscores"
                return f"'{name}' is no name of a source. {rule}, and none of: {taken}."
        if not task.targets or len(set(names)) < len(names):
            return "an audio task has one target at least, and all have different names."
        if task.options.match == Match.permutation and len(task.targets) < 2:
            return "match: permutation needs two targets at least."
        return None

    @override
    def required(self, task: Task) -> tuple[str, ...]:
        """Two sources of a mixture to be separated by permutation, all stems of one by query.

        The files of further sources list only the utterances that have them. Stems are always
        there, if silent.
        """
        if task.options.match == Match.permutation:
            # One source alone is no mixture.
            return task.targets[:2]
        return task.targets

    @override
    def waves(self, utterance: Utterance, sample_rate: int) -> dict[str, np.ndarray]:
        """The sources that an utterance has, in the task's order.

        The residual is what the targets leave of the input.
        """
        waves = {}
        for target in present_targets(utterance):
            spec = utterance.answers[target]
            waves[target] = read_wave(spec, utterance, sample_rate)

        residual = utterance.task.options.residual
        if residual is not None:
            mixture_S = read_input(utterance, sample_rate)
            waves[residual] = mixture_S - sum(waves.values())
        return waves

    @override
    def fit(
        self, tasks: Sequence[Task], utterances: Sequence[Utterance], options: Fit, folder: Path
    ) -> CodecUnits:
        """Nothing is fitted: what codes mean is read off the codec."""
        codec = load_codec(options.codec)
        units = CodecUnits(
            fingerprint=codec.fingerprint,
            embedding_QVC=codec.codebook_embeddings(),
            silence_Q=codec.silence_codes(),
        )
        path = folder / UNITS_FILE
        if path.is_file():
            found = self.load_units(folder)
            where = f"{path} is there already; it was"
            remedy = f"Delete {folder} to make it anew, or {NEW_FOLDERS}"
            check_same(units.fingerprint, found.fingerprint, where, remedy)
            print(f"{folder} is finished (codec {options.codec}): nothing to do")
            return units

        write_torch(path, units.state())
        print(f"wrote {folder} (codec {options.codec})")
        return units

    @override
    def load_units(self, folder: Path) -> CodecUnits:
        """Read what codes mean."""
        path = folder / UNITS_FILE
        if not path.is_file():
            raise AioError(f"{path} does not exist. Run stage 2 (fit_units) first.")
        try:
            state = read_torch(path)
        except AioError as error:
            raise AioError(f"{error}. Delete {folder} and run stage 2 again.") from None
        return CodecUnits.from_state(state)

    @override
    def open(self, source: TargetSource, units: CodecUnits) -> SourcesReader:
        """A reader of waves, and of the codes in the dump where they are wanted."""
        return SourcesReader(source, units.silence_Q.numpy())

    @override
    def rendered(self, task: Task, mixture: Mixture) -> AudioTarget:
        """The sources that the mixture was made of."""
        silence_S = np.zeros_like(mixture.input)
        waves = [mixture.targets.get(target, silence_S) for target in task.targets]
        return AudioTarget(np.stack(waves))

    @override
    def collate(self, targets: Sequence[AudioTarget], num_samples: int, hop: int) -> AudioTargets:
        """Waves and codes, padded to the inputs' length."""
        return pad_targets(targets, num_samples, hop)

    @override
    def write(self, folder: Path, utterance: Utterance, answer: DecodedAudio) -> None:
        """Write the waves, then a flag that they are there."""
        write_waves(folder, utterance, answer)

    @override
    def is_finished(self, folder: Path, utterance: Utterance) -> bool:
        """Whether the flag is there."""
        return has_all_waves(folder, utterance)

    @override
    def collect(self, folder: Path, utterances: Sequence[Utterance]) -> None:
        """Write an scp file for every output and target."""
        list_waves(folder, utterances)

    @override
    def load(self, folder: Path, utterances: Sequence[Utterance]) -> list[WavePaths]:
        """Where the waves of each utterance are."""
        found = find_waves(folder, utterances)
        # All of an output must be there, or two outputs would be scored on different utterances.
        outputs = {output for paths in found for output in paths}
        if not outputs:
            raise AioError(f"{folder} lists no waves. Run stage 5 (decoding).")
        for output in sorted(outputs):
            lacking = []
            for utterance, paths in zip(utterances, found, strict=True):
                if not _is_complete(utterance, paths[output]):
                    lacking.append(utterance.id)
            check_complete(folder / output, lacking)
        return found


def _is_complete(utterance: Utterance, paths: dict[str, str]) -> bool:
    """Whether there is an estimate for every reference."""
    references = present_targets(utterance)
    if utterance.task.options.match == Match.permutation:
        return len(paths) >= len(references)
    return set(references) <= paths.keys()
