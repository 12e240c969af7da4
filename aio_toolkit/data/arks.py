"""Kaldi archives of features and codes, through `kaldiio`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path


def write_ark(ark: Path, scp: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays (T, X) to `ark` and their places to `scp`, each appearing only when complete.

    Kaldi has no integer matrices: codes are stored as float32, exact up to 2 ** 24.
    """
    import kaldiio

    with atomic_path(ark) as temporary_ark, atomic_path(scp) as temporary_scp:
        kaldiio.save_ark(
            str(temporary_ark),
            {key: np.asarray(array, dtype=np.float32) for key, array in arrays.items()},
            scp=str(temporary_scp),
        )
        lines = temporary_scp.read_text(encoding="utf-8").replace(str(temporary_ark), str(ark))
        temporary_scp.write_text(lines, encoding="utf-8")


class ArkReader(Mapping[str, np.ndarray]):
    """Arrays by utterance id, read on demand; `integers` gives int64 codes back."""

    def __init__(self, scp: Path, integers: bool = False):
        if not scp.is_file():
            raise AioError(f"{scp} does not exist. Run stage 2 (tokenization) first.")
        self.scp = scp
        self.integers = integers
        lines = scp.read_text(encoding="utf-8").splitlines()
        self.places = dict(line.split(maxsplit=1) for line in lines)

    def __getitem__(self, key: str) -> np.ndarray:
        import kaldiio

        if key not in self.places:
            raise AioError(f"{self.scp} has no entry for {key}. Run stage 2 (tokenization) again.")
        try:
            array = np.array(kaldiio.load_mat(self.places[key]))
        except Exception as error:  # kaldiio raises whatever its parsers raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise AioError(
                f"{self.places[key]} of {key} cannot be read ({reason}). "
                f"Delete {self.scp.parent} and run stage 2 again."
            ) from None
        return array.astype(np.int64) if self.integers else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
