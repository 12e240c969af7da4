"""A decode folder belongs to one model and one configuration."""

import json

import pytest

from aio_toolkit.answers.decode_stamp import DecodeStamp
from aio_toolkit.errors import AioError

OPTIONS = {"decoders": {"text": {"beam_size": 5}}, "batch_seconds": 60.0}
STAMP = DecodeStamp(OPTIONS, "0a", 8000, "1c")
OTHER = DecodeStamp(STAMP.config, "0b", 8000, "1c")


@pytest.fixture
def claimed(tmp_path):
    """A folder that was claimed and holds an answer."""
    folder = tmp_path / "decode"
    STAMP.claim(folder)
    (folder / "asr/utterances").mkdir(parents=True)
    (folder / "asr/utterances/asr-0.txt").write_text("red cat\n")
    (folder / "RESULTS.md").write_text("# Results\n")
    return folder


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_stamp_is_there_before_any_answer(tmp_path):
    STAMP.claim(tmp_path / "decode")
    assert names(tmp_path / "decode") == ["decode.json"]
    assert DecodeStamp.read(tmp_path / "decode") == STAMP


def test_answers_of_the_same_origin_stay(claimed):
    STAMP.claim(claimed)
    assert names(claimed) == ["RESULTS.md", "asr", "decode.json"]


def test_answers_of_another_origin_are_removed_with_their_scores(claimed, capsys):
    OTHER.claim(claimed)
    assert names(claimed) == ["decode.json"]
    assert DecodeStamp.read(claimed) == OTHER
    message = f"{claimed} was made by another model or configuration, or of other recordings"
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", '{"config": {"decod'])
def test_a_damaged_stamp_is_told_and_stage_5_mends_it(claimed, capsys, content):
    (claimed / "decode.json").write_text(content)
    with pytest.raises(AioError, match=r"decode\.json is not valid JSON.*\. Run stage 5"):
        DecodeStamp.read(claimed)
    STAMP.claim(claimed)
    assert f"{claimed} has a damaged decode.json: decoding anew" in capsys.readouterr().out
    assert names(claimed) == ["decode.json"]
    assert DecodeStamp.read(claimed) == STAMP


def test_a_folder_that_was_cleared_in_part_is_cleared_again(claimed, monkeypatch):
    def killed(path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            OTHER.claim(claimed)
    OTHER.claim(claimed)
    assert names(claimed) == ["decode.json"]


def test_files_of_someone_else_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(AioError, match="has files but no decode.json, so stage 5 did not make it"):
        STAMP.claim(tmp_path)
    assert names(tmp_path) == ["thesis.tex"]


def test_a_folder_that_was_never_decoded_is_named(tmp_path):
    with pytest.raises(AioError, match="decode.json does not exist"):
        DecodeStamp.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"config": {"text": {}, "audio": {}}, "model": "0a"},  # as it once was
        {"config": {"text": {}}, "model": "0a", "sample_rate": 8000},
        {"config": None, "model": "0a", "sample_rate": 8000},
        [1],
    ],
)
def test_a_stamp_of_another_version_is_named_with_the_remedy(tmp_path, content):
    (tmp_path / "decode.json").write_text(json.dumps(content))
    message = "decode.json is of another version of the toolkit. Run stage 5"
    with pytest.raises(AioError, match=message):
        DecodeStamp.read(tmp_path)
