"""Stage 5 with a tiny model: what is read, what is written where, and what is resumed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import ALL, CODEC, HOP, RATE, named, save_tiny, tiny_model, utterance, with_waves

from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.config import from_values
from aio_toolkit.data.audio import read_audio
from aio_toolkit.decoding import audio, run
from aio_toolkit.decoding.run import BatchDecoder, DecodeRun, decode_data_dir
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import MODEL

# Frames of the recordings of a task: the longest comes first in a batch, but not in the data dir.
FRAMES = (9, 21, 14)


class Codec:
    """Codes are waves in steps of 1/4096, one a sample."""

    fingerprint, sample_rate = CODEC, RATE

    def encode(self, wave_BS: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(codes_BTQ=(wave_BS * 4096).round().long())

    def decode(self, codes_BTQ: torch.Tensor) -> torch.Tensor:
        return codes_BTQ / 4096


def recordings(folder: Path, tasks: tuple[str, ...], known=ALL) -> Path:
    """A data dir of `wav.scp` and `utt2task` alone, whose ids say nothing of tasks."""
    waves, names = {}, {}
    for task in tasks:
        for number, frames in enumerate(FRAMES):
            made = with_waves(
                utterance(task, f"{task}-{number}", frames, known=known), folder / "w"
            )
            key = f"rec{number}{task}"
            waves[key], names[key] = made.wav, task
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for name, table in (("wav.scp", waves), ("utt2task", names)):
        lines = [f"{key} {value}\n" for key, value in sorted(table.items())]
        (data / name).write_text("".join(lines))
    return data


@pytest.fixture
def stage(tmp_path, monkeypatch, vocabulary) -> Callable[..., Path]:
    """A function that decodes the recordings of a folder; it returns the decode folder."""
    monkeypatch.setattr(audio, "load_codec", lambda where, device: Codec())
    model = tiny_model(vocabulary, tasks=named("asr", "sep", "enh"))
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    save_tiny(tmp_path / "model" / MODEL, model)

    def decode(config: BatchDecoder.Config | None = None, **options) -> Path:
        values = {"data": tmp_path / "data", "out": tmp_path / "decode", "known": ALL, **options}
        decode_data_dir(config or config_of(), tmp_path / "model", DecodeRun(**values))
        return tmp_path / "decode"

    return decode


def config_of(batch_seconds: float = 60.0, **audio_options) -> BatchDecoder.Config:
    decoders = {"audio": audio_options, "text": {"beam_size": 2, "max_length_ratio": 0.2}}
    values = {"batch_seconds": batch_seconds, "decoders": decoders}
    return from_values(BatchDecoder.Config, values, "test")


@pytest.fixture
def batches(monkeypatch) -> list[list[str]]:
    """The ids of every batch that is decoded from here on."""
    original, seen = BatchDecoder.decode, []

    def spy(self, utterances):
        seen.append([u.id for u in utterances])
        return original(self, utterances)

    monkeypatch.setattr(BatchDecoder, "decode", spy)
    return seen


def waves(out: Path, task: str, output: str, target: str) -> dict[str, np.ndarray]:
    """The waves that an scp file lists, by id."""
    lines = (out / task / output / f"{target}.scp").read_text().splitlines()
    return {key: read_audio(path, RATE) for key, path in map(str.split, lines)}


# --- what is read ---


def test_recordings_and_their_tasks_are_enough(stage, tmp_path):
    recordings(tmp_path, ("asr", "sep", "enh"))
    out = stage()
    keys = [line.split()[0] for line in (out / "asr" / "text").read_text().splitlines()]
    assert keys == ["rec0asr", "rec1asr", "rec2asr"]
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.scp"))
    outputs = ("codec", "masked", "wiener")
    assert found == [
        *(f"enh/{output}/speech.scp" for output in outputs),
        *(f"sep/{output}/spk{n}.scp" for output in outputs for n in (1, 2)),
    ]


def test_masked_waves_are_as_long_as_the_recording_and_sum_to_it(stage, tmp_path):
    data = recordings(tmp_path, ("sep",))
    out = stage()
    first, second = (waves(out, "sep", "masked", f"spk{n}") for n in (1, 2))
    for line in (data / "wav.scp").read_text().splitlines():
        key, path = line.split()
        mixture_S = read_audio(path, RATE)
        np.testing.assert_allclose(first[key] + second[key], mixture_S, atol=1e-5)
        assert np.abs(first[key] - second[key]).max() > 1e-3


def test_the_residual_is_not_written(stage, tmp_path):
    recordings(tmp_path, ("enh",))
    assert not list(stage().rglob("*noise*"))


def test_a_recording_that_is_not_there_is_named(stage, tmp_path):
    data = recordings(tmp_path, ("asr",))
    (data / "utt2num_samples").write_text("".join(f"rec{n}asr 100\n" for n in range(3)))
    path = Path((data / "wav.scp").read_text().split()[1])
    path.unlink()
    with pytest.raises(AioError, match=f"rec0asr: audio file {path} does not exist"):
        stage()


# --- which tasks ---


def test_a_data_dir_of_one_task_is_enough_for_a_model_of_several(stage, tmp_path):
    recordings(tmp_path, ("sep",))
    assert sorted(path.name for path in stage().iterdir()) == ["decode.json", "sep"]


def test_tasks_that_the_model_has_not_are_told_and_left_out(stage, tmp_path, capsys):
    recordings(tmp_path, ("asr", "music"))
    assert not (stage() / "music").exists()
    assert "the model has no task music: not decoded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["music"], "--tasks: the model has no task 'music'. Its tasks: asr, sep, enh"),
        (["enh"], "--tasks: .*data has no 'enh'. Its tasks: asr, sep"),
    ],
)
def test_tasks_that_cannot_be_decoded_are_refused_by_name(stage, tmp_path, names, message):
    recordings(tmp_path, ("asr", "sep"))
    with pytest.raises(AioError, match=message):
        stage(names=names)


def test_recordings_of_none_of_the_model_s_tasks_are_refused(stage, tmp_path):
    recordings(tmp_path, ("music",))
    with pytest.raises(AioError, match="no utterance of the model's tasks: asr, sep, enh"):
        stage()


def test_one_task_may_follow_another(stage, tmp_path, batches):
    recordings(tmp_path, ("asr", "sep"))
    stage(names=["asr"])
    out = stage(names=["sep"])
    assert [batch[0][4:] for batch in batches] == ["asr", "sep"]
    assert sorted(path.name for path in out.iterdir()) == ["asr", "decode.json", "sep"]


def test_a_text_task_needs_no_codec(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "load_codec", lambda *_, **__: pytest.fail("loaded"))
    recordings(tmp_path, ("asr",))
    stage()


# --- batches and resumption ---


@pytest.mark.parametrize(("frames", "sizes"), [(42, [2, 1]), (41, [1, 2]), (63, [3])])
def test_a_batch_holds_no_more_than_the_configured_seconds(stage, tmp_path, batches, frames, sizes):
    recordings(tmp_path, ("asr",))
    stage(config_of(batch_seconds=frames * HOP / RATE))
    assert [len(batch) for batch in batches] == sizes


def test_an_interrupted_run_decodes_what_is_left(stage, tmp_path, batches):
    recordings(tmp_path, ("sep",))
    one_by_one = config_of(batch_seconds=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_write", dying_after(run._write, 2))
        with pytest.raises(KeyboardInterrupt):
            stage(one_by_one)
    batches.clear()
    stage(one_by_one)
    assert batches == [["rec0sep"]]


def dying_after(write: Callable, count: int) -> Callable:
    def dies(batches, answered, out):
        write(batches[:count], iter([next(answered) for _ in range(count)]), out)
        raise KeyboardInterrupt

    return dies


def test_a_batch_with_a_missing_member_is_decoded_again_as_a_whole(stage, tmp_path, batches):
    recordings(tmp_path, ("sep",))
    out = stage()
    before = waves(out, "sep", "masked", "spk1")
    (out / "sep" / "done" / "rec1sep").unlink()
    batches.clear()
    stage()
    assert batches == [["rec1sep", "rec2sep", "rec0sep"]]
    after = waves(out, "sep", "masked", "spk1")
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_answers_of_rounded_weights_are_made_anew_and_told(stage, tmp_path, batches, capsys):
    recordings(tmp_path, ("sep",))
    out = stage()
    assert not DecodeStamp.read(out).half
    whole = waves(out, "sep", "masked", "spk1")
    config = config_of()
    config.half = True
    batches.clear()
    stage(config)
    assert len(batches) == 1
    assert DecodeStamp.read(out).half
    rounded = waves(out, "sep", "masked", "spk1")
    differences = [np.abs(rounded[key] - whole[key]).max() for key in whole]
    assert 0 < max(differences) < 1e-2


def test_nothing_is_decoded_twice(stage, tmp_path, batches):
    recordings(tmp_path, ("asr", "sep"))
    stage()
    batches.clear()
    stage()
    assert batches == []


@pytest.mark.parametrize("change", ["model", "options", "recording"])
def test_answers_of_another_model_options_or_recording_are_made_anew(
    stage, tmp_path, batches, change, capsys
):
    data = recordings(tmp_path, ("sep",))
    stage()
    batches.clear()
    config = config_of()
    if change == "model":
        path = tmp_path / "model" / MODEL
        content = torch.load(path, weights_only=True)
        content["state"]["layer_weight"] += 1
        torch.save(content, path)
    elif change == "options":
        config = config_of(wiener={"window": 256})
    else:
        wav = Path((data / "wav.scp").read_text().split()[1])
        wav.write_bytes(wav.read_bytes())
    stage(config)
    assert len(batches) == 1
    assert "decoding anew" in capsys.readouterr().out


def test_a_folder_of_someone_else_is_left_alone(stage, tmp_path):
    recordings(tmp_path, ("asr",))
    (tmp_path / "decode").mkdir()
    (tmp_path / "decode" / "thesis.tex").touch()
    with pytest.raises(AioError, match="has files but no decode.json"):
        stage()


def test_a_mistake_in_the_options_costs_nothing(stage, tmp_path):
    recordings(tmp_path, ("sep",))
    out = stage()
    with pytest.raises(AioError, match="unknown audio.mode 'mean'. Choose one of: argmax"):
        stage(config_of(mode="mean"))
    assert (out / "sep" / "masked" / "spk1.scp").is_file()


def test_together_and_alone_texts_are_equal_and_waves_nearly(stage, tmp_path):
    recordings(tmp_path, ("asr", "sep"))
    together = stage()
    alone = stage(config_of(batch_seconds=0.01), out=tmp_path / "alone")
    assert (alone / "asr" / "text").read_bytes() == (together / "asr" / "text").read_bytes()
    for output in ("masked", "codec", "wiener"):
        found = waves(alone, "sep", output, "spk2")
        for key, wave_S in waves(together, "sep", output, "spk2").items():
            # The codec here has steps of 1/4096.
            np.testing.assert_allclose(found[key], wave_S, atol=5e-4)


@pytest.mark.slow
def test_two_processes_answer_what_one_does(stage, tmp_path):
    recordings(tmp_path, ("asr",))
    one, two = stage(), stage(out=tmp_path / "two", num_jobs=2)
    assert (one / "asr" / "text").read_bytes() == (two / "asr" / "text").read_bytes()


def test_a_task_with_an_enrolment_hears_it(stage, tmp_path, vocabulary):
    """Another enrolment, another answer; without one there is none."""
    tse = dataclasses.replace(ALL["enh"], name="tse", inputs=("enrol",))
    known = {**ALL, "tse": tse}
    model = tiny_model(vocabulary, tasks=[tse])
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    save_tiny(tmp_path / "model" / MODEL, model)
    data = recordings(tmp_path, ("tse",), known)
    paths = [line.split() for line in (data / "wav.scp").read_text().splitlines()]
    with pytest.raises(AioError, match="rec0tse of task tse is not in enrol.scp"):
        stage()
    answers = []
    for shift in (0, 1):
        enrolments = [f"{paths[n][0]} {paths[(n + shift) % 3][1]}\n" for n in range(3)]
        (data / "enrol.scp").write_text("".join(enrolments))
        answers.append(waves(stage(), "tse", "masked", "speech")["rec1tse"])
    assert np.abs(answers[0] - answers[1]).max() > 1e-5


def test_a_gpu_that_is_not_there_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = DecodeRun(data=tmp_path, out=tmp_path / "out", device="cuda")
    with pytest.raises(AioError, match="'cuda' asks for a GPU and torch sees none"):
        decode_data_dir(BatchDecoder.Config(), tmp_path, run)
    assert not run.out.exists()
