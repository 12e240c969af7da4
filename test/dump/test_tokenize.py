"""Tokenization of a data dir: content, resumption, jobs, refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.dump import shards, tokenize
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.tokenize import (
    Tokenizer,
    batch_by_length,
    looks_clipped,
    tokenize_data_dir,
)
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.features import FrontEnd
from aio_toolkit.tasks import load_tasks

TASKS = load_tasks(Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml")
FRONTEND = FrontEnd.Config(num_mels=10)


def make_codec(path, seed=0):
    torch.manual_seed(seed)
    config = Dac.Config(16000, 4, [8, 5, 4, 2], 6, 16, [2, 4, 5, 8], 2, 8, 4)
    save_dac(path, build_dac(config), config)
    return str(path)


@pytest.fixture
def setup(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 3)
    rng = np.random.default_rng(0)
    utterances = []
    for n in range(8):
        waves = rng.standard_normal((3, 700 + 333 * n)) * 0.1
        paths = []
        for name, wave in zip(("mix", "spk1", "spk2"), waves, strict=True):
            paths.append(str(tmp_path / f"{n}_{name}.wav"))
            write_wav(paths[-1], wave, 16000)
        task = "sep" if n % 2 else "asr"
        separated = {"spk1": paths[1], "spk2": paths[2]}
        answers = separated if task == "sep" else {"text": "a"}
        utterance = Utterance(f"{task}-{n}", TASKS[task], "s", paths[0], waves.shape[1], answers)
        utterances.append(utterance)
    write_data_dir(tmp_path / "data", utterances, TASKS)
    return make_codec(tmp_path / "codec"), tmp_path, utterances


def run(setup, dump="dump", jobs=1, **options):
    codec, root, _ = setup
    config = Tokenizer.Config(codec, FRONTEND, num_jobs=jobs, **options)
    tokenize_data_dir(config, TASKS, root / "data", root / dump)
    return root / dump


def test_codes_are_those_of_the_codec(setup):
    codec_path, _, utterances = setup
    dump, codec = run(setup), load_codec(codec_path)
    for utterance in utterances:
        for file, spec in utterance.waves.items():
            wave_1S = torch.from_numpy(read_audio(spec, 16000))[None]
            want = codec.encode(wave_1S).codes_BTQ[0].numpy()
            codes = ArkReader(dump / f"codes_{file}", integers=True)
            np.testing.assert_array_equal(codes[utterance.id], want)
        assert ArkReader(dump / "feats.scp")[utterance.id].shape == (len(want), 20 + 6)
    frames = dict(line.split() for line in (dump / "utt2num_frames").read_text().splitlines())
    assert frames == {u.id: str(-(-u.num_samples // 320)) for u in utterances}


def contents(dump):
    return {
        (path.name, key): array.tobytes()
        for path in sorted(dump.glob("*.scp"))
        for key, array in ArkReader(path).items()
    }


@pytest.mark.slow
def test_two_processes_write_the_same_as_one(setup):
    one, two = run(setup, "one", 1), run(setup, "two", 2)
    for path in one.glob("codes_*.scp"):
        ours, theirs = ArkReader(path, integers=True), ArkReader(two / path.name, integers=True)
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    ours, theirs = ArkReader(one / "feats.scp"), ArkReader(two / "feats.scp")
    for key in ours:  # the kernels of one thread and of several round differently
        np.testing.assert_allclose(ours[key], theirs[key], atol=1e-5)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_every_time(setup):
    assert contents(run(setup, "once", 2)) == contents(run(setup, "again", 2))


def test_an_interrupted_run_is_completed_without_redoing_shards(setup, monkeypatch):
    whole = contents(run(setup, "whole"))
    original, calls = tokenize._tokenize_shard, []

    def dies_at_the_second(shard, **options):
        calls.append(shard.number)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(shard, **options)

    monkeypatch.setattr(tokenize, "_tokenize_shard", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(setup)
    assert not (setup[1] / "dump" / "feats.scp").exists()
    resumed = run(setup)
    assert len(calls) == len(set(calls)) + 1  # the interrupted shard alone appears twice
    assert contents(resumed) == whole


def test_codes_of_another_codec_are_not_mixed_in(setup):
    run(setup)
    _, root, utterances = setup
    other = make_codec(root / "other", seed=1)
    with pytest.raises(AioError, match="weights_sha256"):
        run((other, root, utterances))


def test_codes_of_another_precision_are_not_mixed_in(setup):
    run(setup)
    with pytest.raises(AioError, match="precision"):
        run(setup, precision="bfloat16")


@pytest.mark.parametrize(("pays", "warned"), [(True, False), (False, True)])
def test_bfloat16_where_it_only_costs_is_warned_of(setup, monkeypatch, capsys, pays, warned):
    monkeypatch.setattr(tokenize, "multiplies_bfloat16", lambda device: pays)
    run(setup, precision="bfloat16")
    assert ("float32 is faster here" in capsys.readouterr().out) == warned


def test_batches_of_several_lengths_give_what_single_waves_give(setup):
    one, many = run(setup, "one"), run(setup, "many", batch_seconds=0.4)
    for path in one.glob("*.scp"):
        singles, batched = ArkReader(path), ArkReader(many / path.name)
        assert list(singles) == list(batched)
        for key in singles:
            np.testing.assert_allclose(batched[key], singles[key], atol=1e-4)


@pytest.mark.parametrize("most", [0, 5, 10, 100])
def test_batches_hold_every_wave_once_and_no_more_than_asked(most):
    lengths = {"a": 3, "b": 7, "c": 1, "d": 3, "e": 12}
    batches = list(batch_by_length(lengths, most))
    assert sorted(sum(batches, [])) == sorted(lengths)
    assert all(
        len(batch) == 1 or max(lengths[key] for key in batch) * len(batch) <= most
        for batch in batches
    )
    assert most != 100 or len(batches) == 1


def test_clipped_waves_are_told_from_loud_ones():
    tone = np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)
    assert looks_clipped(np.clip(3 * tone, -1, 1))
    assert not looks_clipped(0.9 * tone)
    assert not looks_clipped(np.zeros(100))
    assert not looks_clipped(np.array([1.0]))


def test_clipped_waves_are_named(setup, capsys):
    _, _, utterances = setup
    write_wav(
        utterances[3].wav, np.sign(np.sin(np.arange(utterances[3].num_samples) / 20)) * 0.999, 16000
    )
    run(setup)
    assert f"1 waves look clipped: {utterances[3].id} (wav)" in capsys.readouterr().out


def test_a_wave_of_the_wrong_length_is_named(setup):
    _, _, utterances = setup
    write_wav(utterances[2].wav, np.zeros(100), 16000)
    with pytest.raises(AioError, match=utterances[2].id):
        run(setup)


def test_audio_that_is_not_a_number_is_refused_and_named(setup):
    _, root, utterances = setup
    broken = np.full(utterances[2].num_samples, np.nan, dtype=np.float32)
    soundfile.write(utterances[2].wav, broken, 16000, subtype="FLOAT")
    with pytest.raises(AioError, match=f"{utterances[2].id}.*NaN"):
        run(setup)
    assert not (root / "dump" / "feats.scp").exists()


def test_what_the_mixture_holds_besides_the_speech_is_tokenized_too(tmp_path):
    rng = np.random.default_rng(1)
    speech, noise = rng.standard_normal((2, 1000)) * 0.05
    for name, wave in (("noisy", speech + noise), ("speech", speech)):
        write_wav(tmp_path / f"{name}.wav", wave, 16000, subtype="FLOAT")
    noisy, clean = str(tmp_path / "noisy.wav"), str(tmp_path / "speech.wav")
    mixture = Utterance("enh-1", TASKS["enh"], "s", noisy, 1000, {"speech": clean})
    write_data_dir(tmp_path / "data", [mixture], TASKS)
    codec_path = make_codec(tmp_path / "codec")
    config = Tokenizer.Config(codec_path, FRONTEND)
    tokenize_data_dir(config, TASKS, tmp_path / "data", tmp_path / "dump")
    rest = torch.from_numpy(read_audio(noisy, 16000) - read_audio(clean, 16000))[None]
    want = load_codec(codec_path).encode(rest).codes_BTQ[0].numpy()
    codes = ArkReader(tmp_path / "dump" / "codes_noise.scp", integers=True)
    np.testing.assert_array_equal(codes["enh-1"], want)
