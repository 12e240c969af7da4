"""Stage 5 with a head whose estimate is the mixture: what is written where, and what is resumed.

The codec stands for itself: a frame of latents is a hop of samples, a code a sample in steps of
1/4096.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import ALL, FRONT_END, save_tiny, tiny_model, write_split

from aio_toolkit.answers import decoded_audio
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import from_values
from aio_toolkit.data.audio import Subtype, read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.decoding import audio, run
from aio_toolkit.decoding.run import SplitDecoder, decode_split
from aio_toolkit.decoding.text import TextDecoder
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.dump.split import Split
from aio_toolkit.errors import AioError
from aio_toolkit.files import write_json
from aio_toolkit.masks import wiener
from aio_toolkit.models.checkpoint import MODEL
from aio_toolkit.scoring.separation import CEILING_DB, si_sdr_by_query
from aio_toolkit.tasks import Task

RATE, HOP, STEPS = 8000, 32, 4096
CODEC = CodecFingerprint("samples", "0f", RATE, HOP, HOP, STEPS, HOP)
PROVENANCE = Provenance(CODEC, dataclasses.replace(FRONT_END, hop=HOP))
# Sources that the mixtures of each task have.
SOURCES = {"sep": ("spk1", "spk2"), "enh": ("speech",), "sound": ("sound1", "sound2")}
# How many sources the model estimates; that of `enh` has a residual.
NUM_ESTIMATES = {"sep": 2, "enh": 2, "sound": 3}
# The longest comes first in a batch and is not the first of the data dir.
SIZES = {"0": 901, "1": 1500, "2": 1216}


def frames_of(wave_S: np.ndarray) -> np.ndarray:
    """Latents (T, HOP) of a wave, completed by zeros."""
    return np.pad(wave_S, (0, -len(wave_S) % HOP)).reshape(-1, HOP)


class Codec:
    """Notes how many frames it decodes."""

    sample_rate, fingerprint = RATE, CODEC
    decoded: list[int] = []

    def quantize(self, latents_BTC: torch.Tensor) -> torch.Tensor:
        return (latents_BTC * STEPS).round().long()

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        self.decoded.append(codes_BTQ.shape[1])
        return (codes_BTQ / STEPS).flatten(1)


class MixturePath:
    """Every source is the mean of the utterance's backbone frames and latents: the mixture."""

    def waves(self, frames, codec: Codec, mode: str) -> torch.Tensor:
        estimate_BTC = (frames.h_BTD + frames.feats_BTF[..., -HOP:]) / 2
        waves_BS = codec.decode(codec.quantize(estimate_BTC))
        return waves_BS[:, None].expand(-1, NUM_ESTIMATES[frames.task.name], -1)


class Head:
    """Passes the frames on."""

    vocabulary = None

    def path_of_mode(self, mode: str) -> MixturePath:
        return MixturePath()

    def split(self, frames):
        return frames


@dataclass
class Model:
    """Backbone frames are the latents; notes the lengths of each batch."""

    tasks: list[Task]
    batches: list[list[int]] = field(default_factory=list)
    crash_after: int | None = None

    def __post_init__(self) -> None:
        self.heads = {"text": Head(), "audio": Head()}
        self.units = {
            "text": SimpleNamespace(vocabulary=None),
            "audio": SimpleNamespace(fingerprint=CODEC),
        }

    def encode(self, feats_BTF, lengths_B, task_B):
        if len(self.batches) == self.crash_after:
            raise KeyboardInterrupt
        self.batches.append(lengths_B.tolist())
        return feats_BTF[..., -HOP:], {}


def make_utterance(folder: Path, name: str, number: str) -> Utterance:
    """A mixture and its sources as float files, multiples of 1/4096 and therefore exact.

    The input of a text task has no file: nobody reads it.
    """
    key, size = f"{name}-{number}", SIZES[number]
    rng = np.random.default_rng([ord(letter) for letter in key])
    path = folder / "wav" / f"{key}.wav"
    if name not in SOURCES:
        return Utterance(key, ALL[name], "s", str(path), size, {"text": "a"})
    waves = {source: rng.integers(-1200, 1200, size) / STEPS for source in SOURCES[name]}
    rest = rng.integers(-1200, 1200, size) / STEPS if name == "enh" else 0
    write_wav(path, sum(waves.values()) + rest, RATE, subtype=Subtype.float_32)
    answers = {source: str(path.with_stem(f"{key}_{source}")) for source in waves}
    for source, target in answers.items():
        write_wav(target, waves[source], RATE, subtype=Subtype.float_32)
    return Utterance(key, ALL[name], "s", str(path), size, answers)


def feats_of(utterance: Utterance) -> np.ndarray:
    """Three features and the latents of the input; ones for text."""
    frames_TC = np.ones((-(-utterance.num_samples // HOP), HOP))
    if utterance.task.output == "audio":
        frames_TC = frames_of(read_audio(utterance.wav, RATE))
    return np.pad(frames_TC, ((0, 0), (3, 0)), constant_values=0.5)


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
        return read_data_dir(self.folder / "data/test", ALL)

    def waves(self, task: str, output: str, target: str) -> dict[str, torch.Tensor]:
        """The waves that an scp file lists, by utterance."""
        lines = (self.out / task / output / f"{target}.scp").read_text().splitlines()
        paths = dict(line.split() for line in lines if line)
        return {key: torch.from_numpy(read_audio(path, RATE)) for key, path in paths.items()}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """The function that makes a stage for some tasks, with three utterances of each."""

    def make(*tasks: str) -> Stage:
        made = [make_utterance(tmp_path, task, number) for task in tasks for number in SIZES]
        feats = {utterance.id: feats_of(utterance) for utterance in made}
        split = write_split(tmp_path, "test", made, {"feats": feats}, PROVENANCE)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / MODEL).write_bytes(b"weights")
        model = Model([ALL[task] for task in tasks])
        loaded = SimpleNamespace(model=model, provenance=PROVENANCE)
        monkeypatch.setattr(run, "load_aio", lambda path: loaded)
        monkeypatch.setattr(audio, "load_codec", lambda where: Codec())
        monkeypatch.setattr(Codec, "decoded", [])
        monkeypatch.setattr(TextDecoder, "decode", write_sentences)

        def decode(config: SplitDecoder.Config | None = None, tasks: tuple[str, ...] = ()) -> None:
            config = config or config_of()
            decode_split(config, tmp_path / "model", split, tmp_path / "decode", tasks)

        return Stage(tmp_path, model, decode)

    return make


def write_sentences(self, frames) -> list[str]:
    """What the task is and how many frames the utterance has; nothing for the shortest."""
    name = frames.task.name
    lengths = frames.lengths_B.tolist()
    return [f"{name} of {length}" if length > 30 else "" for length in lengths]


def config_of(batch_seconds: float = 60.0, **audio_options) -> SplitDecoder.Config:
    values = {"batch_seconds": batch_seconds, "decoders": {"audio": audio_options}}
    return from_values(SplitDecoder.Config, values, "test")


def one_by_one() -> SplitDecoder.Config:
    """A batch for each utterance, the longest first."""
    return config_of(batch_seconds=0.01)


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
def test_every_output_is_made_of_the_utterance_s_own_mixture(stage, task):
    corpus = stage(task)
    corpus.run(config_of(wiener={"window": 128, "power": 1.5, "detail": 0.3}))
    for utterance in corpus.utterances:
        mixture_S = torch.from_numpy(read_audio(utterance.wav, RATE))
        estimate_NS = mixture_S.expand(NUM_ESTIMATES[task], -1)
        want = {"codec": estimate_NS, "wiener": wiener(mixture_S, estimate_NS, 128, 1.5, 0.3)}
        for output, want_NS in want.items():
            for target, want_S in zip(ALL[task].targets, want_NS, strict=False):
                found_S = corpus.waves(task, output, target)[utterance.id]
                torch.testing.assert_close(found_S, want_S, atol=1e-6, rtol=0)


def test_an_absent_third_sound_is_estimated_all_the_same(stage):
    sound = stage("sound")
    sound.run()
    keys = [utterance.id for utterance in sound.utterances]
    assert list(sound.waves("sound", "codec", "sound3")) == keys
    assert list(sound.waves("sound", "wiener", "sound3")) == keys


def test_the_residual_is_not_written(stage):
    enh = stage("enh")
    enh.run()
    assert not list(enh.out.rglob("*noise*"))


def test_padding_of_the_batch_does_not_reach_the_codec(stage):
    sep = stage("sep")
    sep.run()
    assert Codec.decoded == [47, 38, 29]


def test_references_are_not_read(stage):
    sep = stage("sep")
    for utterance in sep.utterances:
        for path in utterance.answers.values():
            Path(path).unlink()
    sep.run()
    assert len(sep.waves("sep", "wiener", "spk2")) == 3


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
    assert found == [f"sep/{output}/spk{n}.scp" for output in ("codec", "wiener") for n in (1, 2)]
    assert list(sep.waves("sep", "wiener", "spk2")) == ["sep-0", "sep-1", "sep-2"]


def test_only_the_chosen_tasks_are_decoded(stage):
    corpus = stage("asr", "sep")
    corpus.run(tasks=["asr"])
    assert (corpus.out / "asr" / "text").is_file()
    assert not (corpus.out / "sep").exists()
    corpus.run()
    assert (corpus.out / "sep" / "codec" / "spk1.scp").is_file()


def test_tasks_of_the_data_dir_that_the_model_does_not_know_are_left_out(stage):
    corpus = stage("asr", "sep")
    corpus.model.tasks = [ALL["sep"]]
    corpus.run()
    assert sorted(path.name for path in corpus.out.iterdir()) == ["decode.json", "sep"]


@pytest.mark.parametrize(("frames", "batches"), [(94, [[47, 38], [29]]), (93, [[47], [38, 29]])])
def test_a_batch_holds_no_more_than_the_configured_seconds_padding_included(stage, frames, batches):
    asr = stage("asr")
    asr.run(config_of(batch_seconds=frames * HOP / RATE))
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
        if len(written) == 4 + 3:  # four waves an utterance: killed in the midst of the second
            raise KeyboardInterrupt
        written.append(path)
        write_wav(path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoded_audio, "write_wav", failing)
        with pytest.raises(KeyboardInterrupt):
            sep.run(one_by_one())
    sep.run(one_by_one())
    assert sep.model.batches == [[47], [38], [38], [29]]
    assert len(sep.waves("sep", "wiener", "spk2")) == 3


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


def test_the_origin_is_written_before_any_answer(stage):
    corpus = stage("sep")
    corpus.model.crash_after = 0
    with pytest.raises(KeyboardInterrupt):
        corpus.run()
    assert [path.name for path in corpus.out.iterdir()] == ["decode.json"]


def change_config(corpus: Stage) -> SplitDecoder.Config:
    return config_of(wiener={"power": 1.0})


def change_model(corpus: Stage) -> SplitDecoder.Config:
    (corpus.folder / "model" / MODEL).write_bytes(b"other weights")
    return config_of()


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


# --- what does not go together ---


@pytest.mark.parametrize(
    ("name", "what"), [("codec", "codes in .*dump"), ("frontend", "features in .*dump")]
)
def test_a_dump_of_another_codec_or_front_end_is_refused(stage, name, what):
    corpus = stage("sep")
    fingerprint = {"codec": PROVENANCE.codec, "frontend": PROVENANCE.front_end}[name]
    another = dataclasses.asdict(fingerprint) | {"hop": 160}
    write_json(corpus.folder / "dump/test" / f"{name}.json", another)
    with pytest.raises(AioError, match=f"{what}.* against .*model: made for another one"):
        corpus.run()


def test_another_codec_than_the_model_s_is_refused(stage, monkeypatch):
    corpus = stage("sep")
    monkeypatch.setattr(Codec, "fingerprint", dataclasses.replace(CODEC, name="another"))
    with pytest.raises(AioError, match="codec .*: made for another one .name is another"):
        corpus.run()
    assert not corpus.out.exists()


def test_the_codec_is_loaded_only_where_audio_is_asked_for(stage, monkeypatch):
    corpus = stage("asr", "sep")
    monkeypatch.setattr(audio, "load_codec", lambda where: pytest.fail("loaded"))
    corpus.run(tasks=["asr"])
    assert (corpus.out / "asr" / "text").is_file()


def test_a_task_that_the_model_does_not_know_is_named_with_those_it_does(stage):
    with pytest.raises(AioError, match="unknown task 'enh'. Known tasks: asr, sep."):
        stage("asr", "sep").run(tasks=["enh"])


def test_a_task_that_the_data_dir_lacks_is_named(stage):
    corpus = stage("asr")
    corpus.model.tasks.append(ALL["sep"])
    with pytest.raises(AioError, match="no utterance of task sep"):
        corpus.run()


# --- a real model ---


def test_a_model_answers_text_and_audio_from_one_checkpoint(vocabulary, tmp_path, monkeypatch):
    """Tiny and untrained: every utterance has its sentence or its waves, as long as the input."""
    torch.manual_seed(0)
    save_tiny(tmp_path / "model" / MODEL, tiny_model(vocabulary))
    rng = np.random.default_rng(0)
    made, feats = [], {}
    for name, T in (("asr", 21), ("sep", 9), ("sep", 14)):
        key, size = f"{name}-{T}", T * 320 - 7
        path = str(tmp_path / f"{key}.wav")
        write_wav(path, 0.1 * rng.standard_normal(size), 16000)
        answers = {"text": "red cat"} if name == "asr" else {"spk1": path, "spk2": path}
        made.append(Utterance(key, ALL[name], "s", path, size, answers))
        feats[key] = rng.standard_normal((T, 12)).astype(np.float32)
    split = write_split(tmp_path, "test", made, {"feats": feats})
    model = run.load_aio(tmp_path / "model" / MODEL)
    codec = SimpleNamespace(
        sample_rate=16000,
        fingerprint=model.provenance.codec,
        quantize=lambda latents_BTC: latents_BTC,
        decode=lambda latents_BTC: latents_BTC.repeat(1, 1, 80).flatten(1),
    )
    monkeypatch.setattr(audio, "load_codec", lambda where: codec)
    decode_split(config_of(), tmp_path / "model", split, tmp_path / "decode")
    lines = (tmp_path / "decode/asr/text").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["asr-21"]
    for T in (9, 14):
        for output in ("codec", "wiener"):
            path = tmp_path / "decode/sep" / output / "wav" / f"sep-{T}_spk2.wav"
            assert len(read_audio(str(path), 16000)) == T * 320 - 7


def test_tasks_are_what_they_were_when_the_model_learnt_them(stage):
    """A recipe that has renamed a title since does not matter."""
    corpus = stage("sep")
    renamed = {"sep": dataclasses.replace(ALL["sep"], title="new")}
    folder = corpus.folder
    split = Split(folder / "data/test", folder / "dump/test", {**ALL, **renamed})
    decode_split(config_of(), folder / "model", split, corpus.out)
    assert list(corpus.waves("sep", "codec", "spk1")) == ["sep-0", "sep-1", "sep-2"]
