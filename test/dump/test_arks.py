"""Archives: round trips and damage."""

import numpy as np
import pytest

from aio_toolkit.dump.arks import ArkReader, read_places, write_ark
from aio_toolkit.errors import AioError


def write(folder, name: str, codes: dict) -> None:
    write_ark(folder / f"{name}.ark", folder / f"{name}.scp", codes)


def test_codes_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    codes = {f"u{n}": rng.integers(0, 32767, (n + 1, 7)) for n in range(5)}
    write(tmp_path, "c", codes)
    reader = ArkReader(tmp_path / "c.scp")
    assert list(reader) == list(codes)
    assert len(reader) == 5
    for key, want in codes.items():
        assert reader[key].dtype == np.int16
        np.testing.assert_array_equal(reader[key], want)


def test_a_second_of_32_codebooks_takes_little_more_than_3_kilobytes(tmp_path):
    write(tmp_path, "c", {"u": np.zeros((500, 32))})
    assert (tmp_path / "c.ark").stat().st_size < 10 * 3300


def test_a_truncated_archive_is_named(tmp_path):
    write(tmp_path, "c", {"u": np.ones((100, 4))})
    whole = (tmp_path / "c.ark").read_bytes()
    (tmp_path / "c.ark").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AioError, match=r"c\.ark.*of u cannot be read"):
        ArkReader(tmp_path / "c.scp")["u"]


def test_unknown_utterances_and_missing_files_are_named(tmp_path):
    assert read_places(tmp_path / "c.scp") == {}
    with pytest.raises(AioError, match="nothing has asked for these codes.*Run stage 2 again"):
        ArkReader(tmp_path / "c.scp")
    write(tmp_path, "c", {"u": np.ones((2, 4))})
    with pytest.raises(AioError, match="no entry for v"):
        ArkReader(tmp_path / "c.scp")["v"]
