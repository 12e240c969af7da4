"""Archives: round trips and damage."""

import numpy as np
import pytest

from aio_toolkit.dump.arks import ArkReader, write_ark
from aio_toolkit.errors import AioError


def test_reads_back_what_it_wrote(tmp_path):
    rng = np.random.default_rng(0)
    feats = {f"u{n}": rng.standard_normal((n + 1, 7)).astype(np.float32) for n in range(5)}
    write_ark(tmp_path / "f.ark", tmp_path / "f.scp", feats)
    reader = ArkReader(tmp_path / "f.scp")
    assert list(reader) == list(feats)
    for key, want in feats.items():
        np.testing.assert_array_equal(reader[key], want)


def test_codes_come_back_as_integers(tmp_path):
    codes = {"u": np.array([[0, 1023], [65535, 7]])}
    write_ark(tmp_path / "c.ark", tmp_path / "c.scp", codes)
    got = ArkReader(tmp_path / "c.scp", integers=True)["u"]
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, codes["u"])


def test_a_truncated_archive_is_named(tmp_path):
    write_ark(tmp_path / "f.ark", tmp_path / "f.scp", {"u": np.ones((100, 4), np.float32)})
    whole = (tmp_path / "f.ark").read_bytes()
    (tmp_path / "f.ark").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AioError, match=r"f\.ark.*of u cannot be read"):
        ArkReader(tmp_path / "f.scp")["u"]


def test_unknown_utterances_and_missing_files_are_named(tmp_path):
    with pytest.raises(AioError, match="stage 2"):
        ArkReader(tmp_path / "f.scp")
    write_ark(tmp_path / "f.ark", tmp_path / "f.scp", {"u": np.ones((2, 4), np.float32)})
    with pytest.raises(AioError, match="no entry for v"):
        ArkReader(tmp_path / "f.scp")["v"]
