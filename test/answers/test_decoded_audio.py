"""Decoded waves on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ALL

from aio_toolkit.answers import decoded_audio
from aio_toolkit.answers.decoded_audio import (
    DecodedAudio,
    find_waves,
    has_all_waves,
    list_waves,
    write_waves,
)
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance

RATE = 8000


def utterance(number: int) -> Utterance:
    answers = {"spk1": "1.wav", "spk2": "2.wav"}
    return Utterance(f"sep-{number}", ALL["sep"], "s", "mix.wav", 100, answers)


def answer(scale: float = 1.0) -> DecodedAudio:
    """Two outputs of two targets; every wave is a constant of its own."""
    outputs = {}
    for i, output in enumerate(("codec", "wiener")):
        waves = (torch.full((100,), scale * (i + j)) for j in (0.25, 0.5))
        outputs[output] = dict(zip(("spk1", "spk2"), waves, strict=True))
    return DecodedAudio(outputs, RATE)


def test_every_wave_has_a_file_of_its_own(tmp_path):
    write_waves(tmp_path, utterance(7), answer())
    for i, output in enumerate(("codec", "wiener")):
        for j, target in ((0.25, "spk1"), (0.5, "spk2")):
            path = tmp_path / output / "wav" / f"sep-7_{target}.wav"
            np.testing.assert_array_equal(read_audio(str(path), RATE), np.full(100, i + j))


def test_an_id_that_leads_elsewhere_is_kept_in_its_folder(tmp_path):
    hostile = Utterance("../../../x/sep-1", ALL["sep"], "s", "mix.wav", 100, {})
    folder = tmp_path / "a/b"
    write_waves(folder, hostile, answer())
    assert has_all_waves(folder, hostile)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    list_waves(folder, [hostile])
    (found,) = find_waves(folder, [hostile])
    np.testing.assert_array_equal(read_audio(found["codec"]["spk1"], RATE), np.full(100, 0.25))


def test_waves_beyond_full_scale_are_kept(tmp_path):
    write_waves(tmp_path, utterance(0), answer(scale=3.0))
    wave_S = read_audio(str(tmp_path / "wiener/wav/sep-0_spk2.wav"), RATE)
    np.testing.assert_array_equal(wave_S, np.full(100, 4.5))


def test_an_utterance_is_finished_once_all_of_its_waves_are_there(tmp_path, monkeypatch):
    written = []

    def killed_at_the_last(path, *rest, **options) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(decoded_audio, "write_wav", killed_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            write_waves(tmp_path, utterance(0), answer())
    assert not has_all_waves(tmp_path, utterance(0))
    write_waves(tmp_path, utterance(0), answer())
    assert has_all_waves(tmp_path, utterance(0))
    assert not has_all_waves(tmp_path, utterance(1))


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize("damage", [cut, Path.unlink])
@pytest.mark.parametrize("name", ["wiener/wav/sep-0_spk2.wav", "done/sep-0"])
def test_an_utterance_whose_wave_is_lost_or_cut_is_not_finished(tmp_path, name, damage):
    for number in (0, 1):
        write_waves(tmp_path, utterance(number), answer())
    damage(tmp_path / name)
    assert not has_all_waves(tmp_path, utterance(0))
    assert has_all_waves(tmp_path, utterance(1))
    write_waves(tmp_path, utterance(0), answer())
    assert has_all_waves(tmp_path, utterance(0))


def test_waves_are_found_by_output_and_target(tmp_path):
    utterances = [utterance(number) for number in (0, 1)]
    for member in utterances:
        write_waves(tmp_path, member, answer())
    list_waves(tmp_path, utterances)
    for member, paths in zip(utterances, find_waves(tmp_path, utterances), strict=True):
        assert paths == {
            output: {
                target: str(tmp_path / output / "wav" / f"{member.id}_{target}.wav")
                for target in ("spk1", "spk2")
            }
            for output in ("codec", "wiener")
        }


def test_lists_are_in_the_order_of_the_data_dir_and_name_what_is_there(tmp_path):
    utterances = [utterance(number) for number in (2, 0, 1)]
    for member in utterances[1:]:
        write_waves(tmp_path, member, answer())
    list_waves(tmp_path, utterances)
    lines = (tmp_path / "codec/spk1.scp").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["sep-0", "sep-1"]


def test_an_utterance_that_no_list_has_comes_with_empty_outputs(tmp_path):
    write_waves(tmp_path, utterance(0), answer())
    list_waves(tmp_path, [utterance(0)])
    assert find_waves(tmp_path, [utterance(3)]) == [{"codec": {}, "wiener": {}}]


def test_nothing_is_found_for_no_utterance(tmp_path):
    list_waves(tmp_path, [])
    assert find_waves(tmp_path, []) == []
