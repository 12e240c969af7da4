"""Tokenization of a data dir: content, resumption, jobs, refusals."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aio_toolkit.codec.base import load_codec
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.dump import shards, tokenize
from aio_toolkit.dump.arks import ArkReader
from aio_toolkit.dump.shards import Part
from aio_toolkit.dump.split import Split
from aio_toolkit.dump.tokenize import (
    Tokenizer,
    batch_by_length,
    tokenize_data_dir,
)
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import load_tasks

TASKS = load_tasks(Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml")
EVERY = set(Part)


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


def run(setup, dump="dump", jobs=1, parts=EVERY, **options):
    codec, root, _ = setup
    config = Tokenizer.Config(codec, num_jobs=jobs, **options)
    split = Split(root / "data", root / dump, TASKS)
    tokenize_data_dir(config, split, parts, sample_rate=16000)
    return root / dump


def test_codes_are_those_of_the_codec(setup):
    codec_path, _, utterances = setup
    dump, codec = run(setup), load_codec(codec_path)
    for utterance in utterances:
        for file, spec in utterance.waves.items():
            wave_1S = torch.from_numpy(read_audio(spec, 16000))[None]
            want = codec.encode(wave_1S).codes_BTQ[0].numpy()
            np.testing.assert_array_equal(ArkReader(dump / f"codes_{file}")[utterance.id], want)


@pytest.mark.parametrize(
    ("parts", "lists"),
    [
        (set(), []),
        ({Part.input}, ["codes_wav.scp"]),
        ({Part.sources}, ["codes_spk1.scp", "codes_spk2.scp"]),
    ],
)
def test_only_what_is_wanted_is_coded_and_the_codec_is_noted_all_the_same(setup, parts, lists):
    dump = run(setup, parts=parts)
    assert sorted(path.name for path in dump.glob("*.scp")) == lists
    assert (dump / "codec.json").is_file()


def test_a_later_run_that_wants_more_adds_only_that(setup, capsys):
    dump = run(setup, parts={Part.input})
    before = contents(dump), (dump / "codes_wav.scp").read_text()
    capsys.readouterr()
    run(setup, parts={Part.sources})
    assert "codes of input are up to date (8 utterances)" in capsys.readouterr().out
    assert (dump / "codes_wav.scp").read_text() == before[1]
    assert len(contents(dump)) == len(before[0]) + 2 * 4


@pytest.fixture
def coded(monkeypatch) -> list[str]:
    """The utterances that are coded from here on."""
    original, ids = tokenize._tokenize_shard, []

    def spy(shard, **options):
        ids.extend(utterance.id for utterance in shard.utterances)
        return original(shard, **options)

    monkeypatch.setattr(tokenize, "_tokenize_shard", spy)
    return ids


def rewrite(setup, utterances) -> None:
    write_data_dir(setup[1] / "data", utterances, TASKS)


def test_nothing_is_coded_twice(setup, coded):
    run(setup)
    coded.clear()
    run(setup)
    assert coded == []


def test_an_utterance_whose_wave_was_written_again_is_coded_again_and_no_other(setup, coded):
    dump, _, utterances = run(setup), *setup[1:]
    before = contents(dump)
    changed = utterances[3]
    rng = np.random.default_rng(9)
    write_wav(changed.answers["spk1"], 0.1 * rng.standard_normal(changed.num_samples), 16000)
    coded.clear()
    run(setup)
    assert set(coded) == {changed.id}
    after = contents(dump)
    differing = {key for key, codes in after.items() if codes != before[key]}
    assert differing == {("codes_spk1.scp", changed.id)}


def test_utterances_come_and_go(setup, coded, capsys):
    _, _, utterances = setup
    rewrite(setup, utterances[:7])
    dump = run(setup)
    coded.clear()
    rewrite(setup, utterances[1:])
    capsys.readouterr()
    run(setup)
    assert set(coded) == {utterances[7].id}
    assert "1 utterances are new or have changed, 1 are gone" in capsys.readouterr().out
    assert sorted(ArkReader(dump / "codes_wav.scp")) == sorted(u.id for u in utterances[1:])
    assert contents(dump) == contents(run(setup, "anew"))


def test_the_codes_of_a_second_of_sound_take_little_room(setup):
    """Two codebooks here; of 32 it would be 3.2 kB."""
    dump, utterances = run(setup), setup[2]
    seconds = sum(u.num_samples * len(u.waves) for u in utterances) / 16000
    assert sum(path.stat().st_size for path in (dump / "arks").iterdir()) < 5000 * seconds


def test_a_codec_of_another_rate_is_refused(setup):
    codec, root, _ = setup
    split = Split(root / "data", root / "dump", TASKS)
    with pytest.raises(AioError, match="is of 16000 Hz, the recipe of 8000. Give --fs 16000"):
        tokenize_data_dir(Tokenizer.Config(codec), split, EVERY, sample_rate=8000)
    assert not (root / "dump").exists()


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
        ours, theirs = ArkReader(path), ArkReader(two / path.name)
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_every_time(setup):
    assert contents(run(setup, "once", 2)) == contents(run(setup, "again", 2))


def test_an_interrupted_run_is_completed_without_redoing_shards(setup, monkeypatch):
    whole = contents(run(setup, "whole"))
    original, calls = tokenize._tokenize_shard, []

    def dies_at_the_second(shard, **options):
        calls.append(shard.key)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(shard, **options)

    monkeypatch.setattr(tokenize, "_tokenize_shard", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(setup)
    assert not (setup[1] / "dump" / "codes_wav.scp").exists()
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
    assert not (root / "dump" / "codes_wav.scp").exists()


def test_what_the_mixture_holds_besides_the_speech_is_tokenized_too(tmp_path):
    rng = np.random.default_rng(1)
    speech, noise = rng.standard_normal((2, 1000)) * 0.05
    for name, wave in (("noisy", speech + noise), ("speech", speech)):
        write_wav(tmp_path / f"{name}.wav", wave, 16000, subtype="FLOAT")
    noisy, clean = str(tmp_path / "noisy.wav"), str(tmp_path / "speech.wav")
    mixture = Utterance("enh-1", TASKS["enh"], "s", noisy, 1000, {"speech": clean})
    write_data_dir(tmp_path / "data", [mixture], TASKS)
    codec_path = make_codec(tmp_path / "codec")
    split = Split(tmp_path / "data", tmp_path / "dump", TASKS)
    tokenize_data_dir(Tokenizer.Config(codec_path), split, {Part.sources}, 16000)
    rest = torch.from_numpy(read_audio(noisy, 16000) - read_audio(clean, 16000))[None]
    want = load_codec(codec_path).encode(rest).codes_BTQ[0].numpy()
    codes = ArkReader(tmp_path / "dump" / "codes_noise.scp")
    np.testing.assert_array_equal(codes["enh-1"], want)
