"""Audio: units, sources of a mixture, targets of training, and where decoded waves are."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import ALL, CODEC, NUM_CODEBOOKS, codec_units, named, units_of

from aio_toolkit.answers import audio
from aio_toolkit.answers.audio import Audio, CodecUnits
from aio_toolkit.answers.base import TargetSource
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.mixtures import Mixture
from aio_toolkit.data.spans import Span
from aio_toolkit.data.wav_writer import Subtype, write_wav
from aio_toolkit.dump.arks import write_ark
from aio_toolkit.errors import AioError

KIND, RATE, SIZE = Audio(), 8000, 70


def utterance(id: str, *targets: str, **others: str) -> Utterance:
    answers = {target: f"{target}.wav" for target in targets} | others
    return Utterance(id, ALL[id.split("-")[0]], "s", "mix.wav", SIZE, answers)


# --- units ---


def test_units_survive_a_checkpoint(tmp_path):
    units = codec_units()
    torch.save(units.state(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    again = CodecUnits.from_state(state)
    assert again.fingerprint == units.fingerprint
    assert torch.equal(again.embedding_QVC, units.embedding_QVC)
    assert torch.equal(again.silence_Q, units.silence_Q)


def test_units_of_another_codec_are_refused():
    units = codec_units()
    other = dataclasses.replace(units, fingerprint=dataclasses.replace(CODEC, hop=160))
    units.check_same(codec_units(), "here")
    with pytest.raises(AioError, match="^here: made for another one .hop is 160, expected 320"):
        units.check_same(other, "here")


def test_units_of_another_kind_are_refused(vocabulary):
    with pytest.raises(AioError, match="^here: the units are not those of a codec"):
        codec_units().check_same(units_of(vocabulary)["text"], "here")


@pytest.fixture
def codecs(monkeypatch):
    """Codecs by name, each with vectors and silence of its own."""
    known = {}
    for number, name in enumerate(("first", "second")):
        embedding_QVC = torch.full((2, 3, 4), float(number))
        silence_Q = torch.tensor([number, 2])
        known[name] = SimpleNamespace(
            fingerprint=dataclasses.replace(CODEC, name=name),
            codebook_embeddings=lambda made=embedding_QVC: made,
            silence_codes=lambda made=silence_Q: made,
        )
    monkeypatch.setattr(audio, "load_codec", known.__getitem__)
    return known


def test_units_are_read_off_the_codec(codecs, tmp_path):
    units = KIND.fit(named("sep"), [], Audio.Fit(codec="second"), tmp_path)
    read = KIND.load_units(tmp_path)
    for found in (units, read):
        assert found.fingerprint.name == "second"
        assert found.embedding_QVC.tolist() == torch.ones(2, 3, 4).tolist()
        assert found.silence_Q.tolist() == [1, 2]


def test_finished_units_of_the_same_codec_are_kept(codecs, tmp_path):
    for _ in range(2):
        KIND.fit(named("sep"), [], Audio.Fit(codec="first"), tmp_path)
        written = (tmp_path / "codec.pt").stat().st_mtime_ns
    KIND.fit(named("sep"), [], Audio.Fit(codec="first"), tmp_path)
    assert (tmp_path / "codec.pt").stat().st_mtime_ns == written


def test_finished_units_of_another_codec_are_refused(codecs, tmp_path):
    KIND.fit(named("sep"), [], Audio.Fit(codec="first"), tmp_path)
    message = "codec.pt is there already; it was: made for another one .name is first, expected sec"
    with pytest.raises(AioError, match=message):
        KIND.fit(named("sep"), [], Audio.Fit(codec="second"), tmp_path)


def test_missing_units_are_named_with_their_stage(tmp_path):
    with pytest.raises(AioError, match="codec.pt does not exist. Run stage 2"):
        KIND.load_units(tmp_path)


# --- sources ---


@pytest.mark.parametrize(
    ("task", "required"),
    [
        ("sep", ("spk1", "spk2")),
        ("sound", ("sound1", "sound2")),
        ("enh", ("speech",)),
        ("music", ("vocals", "drums", "bass", "other")),
    ],
)
def test_two_sources_of_a_permutation_and_all_of_a_query_are_required(task, required):
    assert KIND.required(ALL[task]) == required


@pytest.fixture
def written(tmp_path):
    """The function that writes an utterance with noise for sources; returns it and its waves."""

    def write(id: str, *targets: str, **others: str) -> tuple[Utterance, dict[str, np.ndarray]]:
        rng = np.random.default_rng(3)
        waves = {name: 0.1 * rng.standard_normal(SIZE) for name in ("mix", *targets)}
        waves = {name: wave_S.astype(np.float32) for name, wave_S in waves.items()}
        paths = {name: str(tmp_path / f"{name}.wav") for name in waves}
        for name, wave_S in waves.items():
            write_wav(paths[name], wave_S, RATE, subtype=Subtype.float_32)
        answers = others | {target: paths[target] for target in targets}
        made = Utterance(id, ALL[id.split("-")[0]], "s", paths["mix"], SIZE, answers)
        return made, waves

    return write


def test_sources_are_read_in_the_order_of_the_task(written):
    made, waves = written("sound-0", "sound2", "sound1")
    found = KIND.waves(made, RATE)
    assert list(found) == ["sound1", "sound2"]
    for name, wave_S in found.items():
        np.testing.assert_array_equal(wave_S, waves[name])


def test_the_residual_is_what_the_targets_leave_of_the_input(written):
    made, waves = written("enh-0", "speech")
    found = KIND.waves(made, RATE)
    assert list(found) == ["speech", "noise"]
    np.testing.assert_array_equal(found["noise"], waves["mix"] - waves["speech"])


def test_a_transcript_beside_the_waves_is_not_read(written):
    made, _ = written("enh-0", "speech", text="good morning")
    assert list(KIND.waves(made, RATE)) == ["speech", "noise"]


# --- training ---


def codes_of(rng: np.random.Generator, T: int) -> np.ndarray:
    return rng.integers(0, 9, (T, NUM_CODEBOOKS))


@pytest.fixture
def dumped(tmp_path):
    """Codes of a mixture of two sounds, one of three, and one of speech, nine frames each."""
    rng = np.random.default_rng(0)
    utterances = [
        utterance("enh-0", "speech"),
        utterance("sound-0", "sound1", "sound2"),
        utterance("sound-1", "sound1", "sound2", "sound3"),
    ]
    codes = {
        f"codes_{source}": {u.id: codes_of(rng, 9) for u in members}
        for source, members in {
            "speech": utterances[:1],
            "noise": utterances[:1],
            "sound1": utterances[1:],
            "sound2": utterances[1:],
            "sound3": utterances[2:],
        }.items()
    }
    for name, arrays in codes.items():
        write_ark(tmp_path / f"{name}.ark", tmp_path / f"{name}.scp", arrays)
    return tmp_path, utterances, codes


def read_codes(dumped, number: int, span: Span, units: CodecUnits | None = None) -> np.ndarray:
    """Codes of a stretch of one of the utterances; their waves are not there."""
    folder, utterances, _ = dumped
    source = TargetSource(folder, utterances, frozenset({"codes"}), RATE)
    reader = KIND.open(source, units or codec_units())
    return reader._read_codes(utterances[number], span)


WHOLE = Span(0, 9 * 320, 320)


def test_targets_are_the_codes_of_every_source_in_its_row(dumped):
    found_NTQ = read_codes(dumped, 2, WHOLE)
    for row, source in enumerate(("sound1", "sound2", "sound3")):
        np.testing.assert_array_equal(found_NTQ[row], dumped[2][f"codes_{source}"]["sound-1"])


def test_an_absent_source_is_silence(dumped):
    units = dataclasses.replace(codec_units(), silence_Q=torch.tensor([4, 7]))
    assert read_codes(dumped, 1, WHOLE, units)[2].tolist() == [[4, 7]] * 9


def test_the_residual_is_a_target(dumped):
    found_NTQ = read_codes(dumped, 0, WHOLE)
    np.testing.assert_array_equal(found_NTQ[1], dumped[2]["codes_noise"]["enh-0"])


def test_a_segment_of_the_input_has_the_codes_of_its_frames(dumped):
    found_NTQ = read_codes(dumped, 1, Span(640, 700, 320))
    assert found_NTQ.shape == (3, 3, NUM_CODEBOOKS)
    np.testing.assert_array_equal(found_NTQ[0], dumped[2]["codes_sound1"]["sound-0"][2:5])


def test_a_source_that_no_utterance_has_needs_no_file(dumped):
    folder, utterances, codes = dumped
    (folder / "codes_sound3.scp").unlink()
    found_NTQ = read_codes((folder, utterances[:2], codes), 1, WHOLE)
    assert found_NTQ.shape == (3, 9, NUM_CODEBOOKS)


def test_a_mixture_made_on_the_fly_has_its_sources_in_the_task_s_order():
    waves = {name: np.full(5, n, np.float32) for n, name in enumerate(("sound2", "sound1"))}
    made = KIND.rendered(ALL["sound"], Mixture(np.ones(5, np.float32), waves))
    assert made.wave_NS[:, 0].tolist() == [1, 0, 0]
    assert made.codes_NTQ is None


# --- decoded waves ---

OUTPUTS = ("codec", "ideal_mask", "wiener")


def write_scp(folder: Path, output: str, target: str, keys: list[str]) -> None:
    path = folder / output / f"{target}.scp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} /{output}/{key}_{target}.wav\n" for key in keys))


def test_every_output_of_every_utterance_comes_with_its_own_waves(tmp_path):
    for output in OUTPUTS:
        for target in ("spk1", "spk2"):
            write_scp(tmp_path, output, target, ["sep-1", "sep-0"])
    utterances = [utterance(f"sep-{i}", "spk1", "spk2") for i in range(2)]
    found = KIND.load(tmp_path, utterances)
    for key, paths in zip(("sep-0", "sep-1"), found, strict=True):
        assert paths == {
            output: {target: f"/{output}/{key}_{target}.wav" for target in ("spk1", "spk2")}
            for output in OUTPUTS
        }


def test_an_output_that_was_not_made_is_left_out(tmp_path):
    write_scp(tmp_path, "codec", "speech", ["enh-0"])
    (paths,) = KIND.load(tmp_path, [utterance("enh-0", "speech")])
    assert list(paths) == ["codec"]


def test_a_query_task_needs_the_waves_of_its_own_targets(tmp_path):
    for target in ("vocals", "drums", "bass"):
        write_scp(tmp_path, "codec", target, ["music-0"])
    four = utterance("music-0", "vocals", "drums", "bass", "other")
    with pytest.raises(AioError, match="codec lacks 1 utterances of the data dir: music-0"):
        KIND.load(tmp_path, [four])


def test_a_permutation_task_needs_as_many_waves_as_it_has_references(tmp_path):
    for target in ("sound2", "sound3"):
        write_scp(tmp_path, "codec", target, ["sound-0"])
    two = utterance("sound-0", "sound1", "sound2")
    (paths,) = KIND.load(tmp_path, [two])
    assert list(paths["codec"]) == ["sound2", "sound3"]
    three = utterance("sound-0", "sound1", "sound2", "sound3")
    with pytest.raises(AioError, match="codec lacks 1 utterances"):
        KIND.load(tmp_path, [three])


def test_a_transcript_beside_the_references_asks_for_no_wave(tmp_path):
    write_scp(tmp_path, "codec", "speech", ["enh-0"])
    (paths,) = KIND.load(tmp_path, [utterance("enh-0", "speech", text="good morning")])
    assert paths == {"codec": {"speech": "/codec/enh-0_speech.wav"}}


def test_an_output_that_lacks_utterances_is_named_beside_one_that_does_not(tmp_path):
    write_scp(tmp_path, "codec", "speech", ["enh-0", "enh-1"])
    write_scp(tmp_path, "wiener", "speech", ["enh-0"])
    utterances = [utterance("enh-0", "speech"), utterance("enh-1", "speech")]
    with pytest.raises(AioError, match="wiener lacks 1 utterances of the data dir: enh-1"):
        KIND.load(tmp_path, utterances)


def test_a_folder_without_lists_is_named_with_its_stage(tmp_path):
    (tmp_path / "codec/wav").mkdir(parents=True)
    with pytest.raises(AioError, match="lists no waves. Run stage 5"):
        KIND.load(tmp_path, [utterance("enh-0", "speech")])
