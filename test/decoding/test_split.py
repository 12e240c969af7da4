"""Stage 5 with a head whose estimate is the mixture: what is written where, and what is resumed.

The codec stands for itself: a frame of latents is a hop of samples, a code a sample in steps of
1/4096. The codes of the dump are coarser, so that true sources and coded ones differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir
from aio_toolkit.decoding import split
from aio_toolkit.decoding.config import AudioConfig, DecodeConfig
from aio_toolkit.decoding.wiener import ratio_mask, wiener
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.models.checkpoint import MODEL, Provenance
from aio_toolkit.scoring.separation import CEILING_DB, si_sdr_by_query

RATE, HOP, STEPS, COARSE = 8000, 32, 4096, 64
CODEC = {"name": "samples", "sample_rate": RATE, "hop": HOP, "latent_dim": HOP}
FRONTEND = {"name": "latents"}
# Sources that the mixtures of each task have; `noise` is the residual of `enh`.
SOURCES = {
    "sep": ("spk1", "spk2"),
    "enh": ("speech", "noise"),
    "sound": ("sound1", "sound2"),
}
# The longest comes first in a batch and is not the first of the data dir.
SIZES = {"0": 901, "1": 1500, "2": 1216}


def frames_of(wave_S: np.ndarray) -> np.ndarray:
    """Latents (T, HOP) of a wave, completed by zeros."""
    return np.pad(wave_S, (0, -len(wave_S) % HOP)).reshape(-1, HOP)


def coarse(wave_S: np.ndarray) -> np.ndarray:
    return np.round(wave_S * STEPS / COARSE) * COARSE / STEPS


class Codec:
    """Notes how many frames it decodes."""

    sample_rate, hop, fingerprint = RATE, HOP, CODEC
    decoded: list[int] = []

    @classmethod
    def load(cls, where: str) -> "Codec":
        return cls()

    def quantise(self, latents_BTC):
        return (latents_BTC * STEPS).round().long()

    def decode(self, codes_BTQ):
        self.decoded.append(codes_BTQ.shape[1])
        return (codes_BTQ / STEPS).flatten(1)


class Head:
    """Every source is the mean of the utterance's backbone frames and latents: the mixture."""

    def latents(self, h_BTD, task, mixture_BTC):
        num_sources = 3 if task == "sound" else 2
        estimate_BTC = (h_BTD + mixture_BTC) / 2
        return estimate_BTC[:, None].expand(-1, num_sources, -1, -1)


@dataclass
class Model:
    """Backbone frames are the latents; notes the lengths of each batch."""

    tasks: list[str]
    batches: list[list[int]] = field(default_factory=list)
    crash_after: int | None = None
    text_head: object = field(default_factory=object)
    codes_head: Head = field(default_factory=Head)

    def encode(self, feats_BTF, lengths_B, task_B):
        if len(self.batches) == self.crash_after:
            raise KeyboardInterrupt
        self.batches.append(lengths_B.tolist())
        return self.latents_of(feats_BTF), {}

    def latents_of(self, feats_BTF):
        return feats_BTF[..., -HOP:]


def make_utterance(folder: Path, task: str, number: str) -> Utterance:
    """A mixture and its sources as float files, multiples of 1/4096 and therefore exact."""
    key, size = f"{task}-{number}", SIZES[number]
    rng = np.random.default_rng([ord(letter) for letter in key])
    path = folder / "wav" / f"{key}.wav"
    if task not in SOURCES:
        return Utterance(key, task, "s", str(path), size, {"text": "a"})
    waves = {name: rng.integers(-1200, 1200, size) / STEPS for name in SOURCES[task]}
    write_wav(path, sum(waves.values()), RATE, subtype="FLOAT")
    targets = {name: str(path.with_stem(f"{key}_{name}")) for name in waves if name != "noise"}
    for name, target in targets.items():
        write_wav(target, waves[name], RATE, subtype="FLOAT")
    return Utterance(key, task, "s", str(path), size, targets=targets)


def sources_of(utterance: Utterance) -> dict[str, np.ndarray]:
    waves = {name: read_audio(path, RATE) for name, path in utterance.targets.items()}
    if utterance.task == "enh":
        waves["noise"] = read_audio(utterance.wav, RATE) - waves["speech"]
    return waves


def write_dump(dump: Path, utterances: list[Utterance]) -> None:
    arks: dict[str, dict[str, np.ndarray]] = {"feats": {}}
    for utterance in utterances:
        frames_TC = np.ones((-(-utterance.num_samples // HOP), HOP))
        if utterance.task in SOURCES:
            frames_TC = frames_of(read_audio(utterance.wav, RATE))
            for name, wave_S in sources_of(utterance).items():
                codes_TQ = frames_of(coarse(wave_S)) * STEPS
                arks.setdefault(f"codes_{name}", {})[utterance.id] = codes_TQ
        # Three other features stand before the latents.
        arks["feats"][utterance.id] = np.pad(frames_TC, ((0, 0), (3, 0)), constant_values=0.5)
    for name, arrays in arks.items():
        write_ark(dump / f"{name}.ark", dump / f"{name}.scp", arrays)
    lines = [f"{key} {len(frames_TC)}\n" for key, frames_TC in arks["feats"].items()]
    (dump / "utt2num_frames").write_text("".join(lines))
    write_json(dump / "codec.json", CODEC)
    write_json(dump / "frontend.json", FRONTEND)


@dataclass
class Stage:
    """Stage 5 of a corpus; `run` decodes it with the model."""

    folder: Path
    model: Model
    run: Callable[..., None]

    @property
    def out(self) -> Path:
        return self.folder / "decode"

    @property
    def utterances(self) -> list[Utterance]:
        return read_data_dir(self.folder / "data")

    def waves(self, task: str, output: str, target: str) -> dict[str, torch.Tensor]:
        """The waves that an scp file lists, by utterance."""
        lines = (self.out / task / output / f"{target}.scp").read_text().splitlines()
        paths = dict(line.split() for line in lines if line)
        return {key: torch.from_numpy(read_audio(path, RATE)) for key, path in paths.items()}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """The function that makes a stage for some tasks, with three utterances of each."""

    def make(*tasks: str) -> Stage:
        utterances = [make_utterance(tmp_path, task, number) for task in tasks for number in SIZES]
        write_data_dir(tmp_path / "data", utterances)
        write_dump(tmp_path / "dump", utterances)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / MODEL).write_bytes(b"weights")
        model = Model(list(tasks))
        loaded = SimpleNamespace(
            model=model, provenance=Provenance(CODEC, FRONTEND), vocabulary=object()
        )
        monkeypatch.setattr(split, "load_aio", lambda path: loaded)
        monkeypatch.setattr(split, "DacCodec", Codec)
        monkeypatch.setattr(Codec, "decoded", [])
        monkeypatch.setattr(split, "build_search", lambda head, vocabulary, task, config: task)
        monkeypatch.setattr(split, "decode_text", write_sentences)

        def run(config: DecodeConfig | None = None, **options) -> None:
            folders = (tmp_path / name for name in ("data", "dump", "decode"))
            config = config or DecodeConfig()
            split.decode_split(config, tmp_path / "model", "codec", *folders, **options)

        return Stage(tmp_path, model, run)

    return make


def write_sentences(search, vocabulary, h_BTD, lengths_B, config) -> list[str]:
    """What the task is and how many frames the utterance has; nothing for the shortest."""
    return [f"{search} of {length}" if length > 30 else "" for length in lengths_B.tolist()]


def one_by_one(**options) -> DecodeConfig:
    """A batch for each utterance, the longest first."""
    return DecodeConfig(batch_seconds=0.01, **options)


# --- values ---


def test_an_estimate_that_is_the_mixture_scores_the_ceiling_for_every_utterance(stage):
    sep = stage("sep")
    sep.run()
    assert sep.model.batches == [[47, 38, 29]], "all utterances shall share a padded batch"
    for target in ("spk1", "spk2"):
        waves = sep.waves("sep", "codec", target)
        for utterance in sep.utterances:
            mixture_1S = read_audio(utterance.wav, RATE)[None]
            estimate_1S = waves[utterance.id].numpy()[None]
            score = si_sdr_by_query(mixture_1S, estimate_1S)[0]
            assert score == pytest.approx(CEILING_DB, abs=1e-5)
            assert np.array_equal(estimate_1S, mixture_1S)


@pytest.mark.parametrize("task", ["sep", "enh", "sound"])
def test_every_output_is_made_of_the_utterance_s_own_mixture_and_sources(stage, task):
    audio = AudioConfig(wiener_window=128, wiener_power=1.5, wiener_detail=0.3)
    corpus = stage(task)
    corpus.run(DecodeConfig(audio=audio))
    for utterance in corpus.utterances:
        mixture_S = torch.from_numpy(read_audio(utterance.wav, RATE))
        true_NS = torch.from_numpy(np.stack(list(sources_of(utterance).values())))
        coded_NS = torch.from_numpy(np.stack([coarse(wave_S) for wave_S in true_NS.numpy()]))
        estimate_NS = mixture_S.expand(3 if task == "sound" else 2, -1)
        want = {
            "codec": estimate_NS,
            "wiener": wiener(mixture_S, estimate_NS, 128, 1.5, 0.3),
            "oracle_codec": coded_NS,
            "oracle_wiener": wiener(mixture_S, coded_NS, 128, 1.5, 1.0),
            "ideal_mask": ratio_mask(mixture_S, true_NS, 128, 1.5),
        }
        for output, want_NS in want.items():
            for target, want_S in zip(SOURCES[task], want_NS, strict=False):
                if target != "noise":
                    found_S = corpus.waves(task, output, target)[utterance.id]
                    torch.testing.assert_close(found_S, want_S, atol=1e-6, rtol=0)


def test_an_absent_third_sound_is_estimated_and_has_no_oracle(stage):
    sound = stage("sound")
    sound.run()
    keys = [utterance.id for utterance in sound.utterances]
    assert list(sound.waves("sound", "codec", "sound3")) == keys
    assert list(sound.waves("sound", "wiener", "sound3")) == keys
    for output in ("oracle_codec", "oracle_wiener", "ideal_mask"):
        assert sound.waves("sound", output, "sound3") == {}


def test_the_residual_is_not_written(stage):
    enh = stage("enh")
    enh.run()
    assert not list(enh.out.rglob("*noise*"))


def test_padding_of_the_batch_does_not_reach_the_codec(stage):
    sep = stage("sep")
    sep.run()
    # Twice for each utterance: the model's estimate and the oracle.
    assert Codec.decoded == [47, 47, 38, 38, 29, 29]


# --- layout ---


def test_text_has_a_line_for_each_utterance_in_the_data_dir_s_order(stage):
    asr = stage("asr")
    asr.run()
    # An empty hypothesis is an id alone.
    want = ["asr-0", "asr-1 asr of 47", "asr-2 asr of 38"]
    assert (asr.out / "asr" / "text").read_text().splitlines() == want


def test_audio_has_an_scp_for_each_output_and_target(stage):
    sep = stage("sep")
    sep.run()
    found = sorted(str(path.relative_to(sep.out)) for path in sep.out.rglob("*.scp"))
    outputs = ("codec", "ideal_mask", "oracle_codec", "oracle_wiener", "wiener")
    assert found == [f"sep/{output}/spk{n}.scp" for output in outputs for n in (1, 2)]
    assert list(sep.waves("sep", "wiener", "spk2")) == ["sep-0", "sep-1", "sep-2"]


def test_only_the_chosen_tasks_are_decoded(stage):
    corpus = stage("asr", "sep")
    corpus.run(tasks=["asr"])
    assert (corpus.out / "asr" / "text").is_file()
    assert not (corpus.out / "sep").exists()
    corpus.run()
    assert (corpus.out / "sep" / "codec" / "spk1.scp").is_file()


@pytest.mark.parametrize(("frames", "batches"), [(94, [[47, 38], [29]]), (93, [[47], [38, 29]])])
def test_a_batch_holds_no_more_than_the_configured_seconds_padding_included(stage, frames, batches):
    asr = stage("asr")
    asr.run(DecodeConfig(batch_seconds=frames * HOP / RATE))
    assert asr.model.batches == batches


# --- resumption ---


def contents(folder: Path) -> dict[str, object]:
    """What every file says; the header of a float wave holds the time of writing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            is_wave = path.suffix == ".wav"
            value = read_audio(str(path), RATE).tolist() if is_wave else path.read_bytes()
            found[str(path.relative_to(folder))] = value
    return found


@pytest.mark.parametrize("task", ["asr", "sep"])
def test_an_interrupted_run_goes_on_with_the_utterances_that_are_left(stage, task):
    corpus = stage(task)
    corpus.model.crash_after = 2
    with pytest.raises(KeyboardInterrupt):
        corpus.run(one_by_one())
    corpus.model.crash_after = None
    corpus.run(one_by_one())
    assert corpus.model.batches == [[47], [38], [29]]
    resumed = contents(corpus.out)
    corpus.model.batches.clear()
    (corpus.out / "decode.json").write_text("{}")
    corpus.run(one_by_one())
    assert len(corpus.model.batches) == 3
    assert contents(corpus.out) == resumed


def test_an_utterance_without_all_of_its_waves_is_decoded_again(stage, monkeypatch):
    sep, written = stage("sep"), []

    def failing(path, *rest, **options):
        if len(written) == 10 + 3:  # ten waves an utterance: killed in the midst of the second
            raise KeyboardInterrupt
        written.append(path)
        write_wav(path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(split, "write_wav", failing)
        with pytest.raises(KeyboardInterrupt):
            sep.run(one_by_one())
    sep.run(one_by_one())
    assert sep.model.batches == [[47], [38], [38], [29]]
    assert len(sep.waves("sep", "ideal_mask", "spk2")) == 3


def test_a_finished_folder_is_left_alone(stage):
    corpus = stage("asr", "sep")
    corpus.run()
    corpus.model.batches.clear()
    waves = {path: path.stat().st_mtime_ns for path in corpus.out.rglob("*.wav")}
    before = contents(corpus.out)
    corpus.run()
    assert corpus.model.batches == []
    assert contents(corpus.out) == before
    assert {path: path.stat().st_mtime_ns for path in waves} == waves


def change_config(corpus: Stage) -> DecodeConfig:
    return DecodeConfig(audio=AudioConfig(wiener_power=1.0))


def change_model(corpus: Stage) -> DecodeConfig:
    (corpus.folder / "model" / MODEL).write_bytes(b"other weights")
    return DecodeConfig()


@pytest.mark.parametrize("change", [change_config, change_model])
def test_another_model_or_configuration_clears_the_folder_and_says_so(stage, change, capsys):
    sep = stage("sep")
    sep.run()
    stale = sep.out / "sep" / "codec" / "wav" / "sep-9_spk1.wav"
    stale.touch()
    sep.run(change(sep))
    assert not stale.exists()
    assert len(sep.model.batches) == 2
    message = "was made by another model or configuration: decoding anew"
    assert f"{sep.out} {message}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["codec", "frontend"])
def test_a_dump_of_another_codec_or_front_end_is_refused(stage, name):
    corpus = stage("sep")
    write_json(corpus.folder / "dump" / f"{name}.json", {"name": "another"})
    with pytest.raises(AioError, match="made for another one"):
        corpus.run()


def test_another_codec_than_the_model_s_is_refused(stage, monkeypatch):
    corpus = stage("sep")
    monkeypatch.setattr(Codec, "fingerprint", CODEC | {"name": "another"})
    with pytest.raises(AioError, match="codec against .*model: made for another one"):
        corpus.run()
