"""Kaldi archives of features and codes, through `kaldiio`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path


def write_ark(ark: Path, scp: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays (T, X) to an archive and their places to an scp file.

    Each appears only when it is complete. Kaldi has no integer matrices: codes are stored as
    float32, exact up to 2 ** 24.

    Args:
        ark: the archive.
        scp: the file of `id archive:offset` lines.
        arrays: by id.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scp = Path(folder, "codes.scp")
    ...     write_ark(Path(folder, "codes.ark"), scp, {"asr-1": np.array([[3, 1]])})
    ...     ArkReader(scp, integers=True)["asr-1"]
    array([[3, 1]])
    """
    import kaldiio

    floats = {key: np.asarray(array, dtype=np.float32) for key, array in arrays.items()}
    with atomic_path(ark) as temporary_ark, atomic_path(scp) as temporary_scp:
        kaldiio.save_ark(str(temporary_ark), floats, scp=str(temporary_scp))
        lines = temporary_scp.read_text(encoding="utf-8")
        # The archive is about to get its real name.
        lines = lines.replace(str(temporary_ark), str(ark))
        temporary_scp.write_text(lines, encoding="utf-8")


class ArkReader(Mapping[str, np.ndarray]):
    """The arrays of an scp file by utterance id, read when they are asked for.

    See `write_ark` for an example.
    """

    def __init__(self, scp: Path, *, integers: bool = False) -> None:
        """Read the places of the arrays.

        Args:
            scp: what `write_ark` wrote.
            integers: give int64 codes back, not float32.

        Raises:
            AioError: there is no such file.
        """
        if not scp.is_file():
            raise AioError(f"{scp} does not exist. Run stage 2 (tokenization) first.")
        self.scp = scp
        self.integers = integers
        lines = scp.read_text(encoding="utf-8").splitlines()
        self.places = dict(line.split(maxsplit=1) for line in lines)

    def __getitem__(self, key: str) -> np.ndarray:
        """The array (T, X) of an utterance; AioError where it is missing or damaged."""
        import kaldiio

        if key not in self.places:
            raise AioError(f"{self.scp} has no entry for {key}. Run stage 2 (tokenization) again.")
        place = self.places[key]
        try:
            array = np.array(kaldiio.load_mat(place))
        except Exception as error:  # kaldiio raises whatever its parsers raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise AioError(
                f"{place} of {key} cannot be read ({reason}). "
                f"Delete {self.scp.parent} and run stage 2 again."
            ) from None
        return array.astype(np.int64) if self.integers else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
