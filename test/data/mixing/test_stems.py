"""Songs played together and put together anew."""

import numpy as np
import pytest
from tiny import ALL, utterance, with_waves

from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import write_data_dir
from aio_toolkit.data.mixing.stems import Stems
from aio_toolkit.data.source_dir import SourceFolders
from aio_toolkit.errors import AioError

MUSIC = ALL["music"]


@pytest.fixture
def folders(tmp_path) -> SourceFolders:
    """Five songs of four stems each, as the targets of a split."""
    made = [utterance("music", f"music-{n}", 10 + n, speaker=f"song{n}") for n in range(5)]
    write_data_dir(tmp_path / "train", [with_waves(u, tmp_path / "w") for u in made], ALL)
    return SourceFolders(tmp_path, ALL, 16000)


def draws(folders, count: int, **options) -> tuple[Stems, list]:
    rule = Stems(Stems.Config(["train:music"], **options), MUSIC, folders)
    return rule, [rule.draw(np.random.default_rng([3, n]), 2000) for n in range(count)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_mixtures_is_put_together_anew(folders, share):
    _, drawn = draws(folders, 300, remix_share=share)
    songs = [{piece.source.speaker for piece in d.pieces} for d in drawn]
    # Four stems of five songs are all of one by a chance of 1 in 125.
    assert sum(len(of) > 1 for of in songs) == pytest.approx(300 * share, abs=30)


def test_stems_of_a_song_are_taken_from_one_place(folders):
    _, drawn = draws(folders, 50, remix_share=0.0)
    for d in drawn:
        assert len({piece.start for piece in d.pieces}) == 1
        assert [piece.target for piece in d.pieces] == list(MUSIC.targets)
    assert len({d.pieces[0].start for d in drawn}) > 20


def test_stems_are_cut_and_scaled_as_drawn(folders):
    rule, drawn = draws(folders, 8)
    for d in drawn:
        made = rule.render(d)
        np.testing.assert_allclose(made.input, sum(made.targets.values()), atol=1e-6)
        common = []
        for piece in d.pieces:
            assert piece.source.part == piece.target
            stem_S = read_audio(piece.source.wav, 16000)[piece.start : piece.start + 2000]
            gain = np.dot(made.targets[piece.target], stem_S) / np.dot(stem_S, stem_S)
            np.testing.assert_allclose(made.targets[piece.target], gain * stem_S, atol=1e-5)
            common.append(gain / 10 ** (piece.gain_db / 20))
        assert common == pytest.approx([common[0]] * 4, rel=1e-4)


def test_sources_without_stems_are_refused(tmp_path):
    spoken = with_waves(utterance("asr", "asr-1", 9), tmp_path / "w")
    write_data_dir(tmp_path / "train", [spoken], ALL)
    folders = SourceFolders(tmp_path, ALL, 16000)
    with pytest.raises(AioError, match="no song of the sources has all stems .vocals, drums"):
        Stems(Stems.Config(["train:asr"]), MUSIC, folders)
