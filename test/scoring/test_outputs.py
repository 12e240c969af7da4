"""What is read of a decode folder, and what is said where it lacks something."""

from pathlib import Path

import pytest

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.outputs import (
    OUTPUTS,
    has_output,
    read_audio_outputs,
    read_hypotheses,
    read_lines,
)
from aio_toolkit.tasks import TASKS


def make_utterance(key: str, *targets: str) -> Utterance:
    files = {target: f"{target}.wav" for target in targets}
    return Utterance(key, key.split("-")[0], "s", "mix.wav", 100, targets=files)


def write_scp(folder: Path, task: str, output: str, target: str, keys: list[str]) -> None:
    path = folder / task / output / f"{target}.scp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} /{output}/{key}_{target}.wav\n" for key in keys))


def test_lines_are_read_in_any_order_and_may_lack_a_value(tmp_path):
    path = tmp_path / "text"
    path.write_text("b  two words \n\na\n")
    assert read_lines(path) == {"b": "two words", "a": ""}


def test_hypotheses_follow_the_utterances_and_may_be_empty(tmp_path):
    path = tmp_path / "text"
    path.write_text("asr-2 two words\nasr-0\nasr-9 nobody's\n")
    utterances = [make_utterance("asr-0"), make_utterance("asr-2")]
    assert read_hypotheses(path, utterances) == ["", "two words"]


def test_missing_hypotheses_are_listed_up_to_ten(tmp_path):
    path = tmp_path / "text"
    path.write_text("asr-00 a\n")
    utterances = [make_utterance(f"asr-{i:02}") for i in range(13)]
    ids = ", ".join(f"asr-{i:02}" for i in range(1, 11))
    with pytest.raises(AioError, match=f"lacks 12 utterances of the data dir: {ids} and 2 more"):
        read_hypotheses(path, utterances)


def test_a_missing_file_is_named_with_its_stage(tmp_path):
    with pytest.raises(AioError, match="text does not exist. Run stage 5"):
        read_hypotheses(tmp_path / "text", [])


def test_text_in_another_encoding_is_named_with_its_byte(tmp_path):
    (tmp_path / "text").write_bytes("asr-0 caf\u00e9\n".encode("latin1"))
    with pytest.raises(AioError, match="text is not UTF-8 .* at byte 9"):
        read_hypotheses(tmp_path / "text", [make_utterance("asr-0")])


def test_every_output_of_every_utterance_comes_with_its_own_waves(tmp_path):
    for output in OUTPUTS:
        for target in ("spk1", "spk2"):
            write_scp(tmp_path, "sep", output, target, ["sep-1", "sep-0"])
    utterances = [make_utterance(f"sep-{i}", "spk1", "spk2") for i in range(2)]
    found = read_audio_outputs(tmp_path, TASKS["sep"], utterances)
    assert [outputs.utterance for outputs in found] == utterances
    for key, outputs in zip(("sep-0", "sep-1"), found, strict=True):
        assert outputs.estimates == {
            output: {target: f"/{output}/{key}_{target}.wav" for target in ("spk1", "spk2")}
            for output in OUTPUTS
        }


def test_an_output_that_was_not_made_is_left_out(tmp_path):
    write_scp(tmp_path, "enh", "codec", "speech", ["enh-0"])
    (outputs,) = read_audio_outputs(tmp_path, TASKS["enh"], [make_utterance("enh-0", "speech")])
    assert list(outputs.estimates) == ["codec"]


def test_a_query_task_needs_the_waves_of_its_own_targets(tmp_path):
    for target in ("vocals", "drums", "bass"):
        write_scp(tmp_path, "music", "codec", target, ["music-0"])
    four = make_utterance("music-0", "vocals", "drums", "bass", "other")
    with pytest.raises(AioError, match="music/codec lacks 1 utterances of the data dir: music-0"):
        read_audio_outputs(tmp_path, TASKS["music"], [four])


def test_a_permutation_task_needs_as_many_waves_as_it_has_references(tmp_path):
    for target in ("sound2", "sound3"):
        write_scp(tmp_path, "sound", "codec", target, ["sound-0"])
    two = make_utterance("sound-0", "sound1", "sound2")
    (outputs,) = read_audio_outputs(tmp_path, TASKS["sound"], [two])
    assert list(outputs.estimates["codec"]) == ["sound2", "sound3"]
    three = make_utterance("sound-0", "sound1", "sound2", "sound3")
    with pytest.raises(AioError, match="sound/codec lacks 1 utterances"):
        read_audio_outputs(tmp_path, TASKS["sound"], [three])


def test_codec_output_must_be_there(tmp_path):
    write_scp(tmp_path, "enh", "wiener", "speech", ["enh-0"])
    assert not has_output(tmp_path, TASKS["enh"])
    with pytest.raises(AioError, match="enh/codec lacks 1 utterances"):
        read_audio_outputs(tmp_path, TASKS["enh"], [make_utterance("enh-0", "speech")])


def test_text_output_is_the_file_of_hypotheses(tmp_path):
    assert not has_output(tmp_path, TASKS["asr"])
    (tmp_path / "asr").mkdir()
    (tmp_path / "asr" / "text").touch()
    assert has_output(tmp_path, TASKS["asr"])
