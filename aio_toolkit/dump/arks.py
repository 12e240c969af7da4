"""Kaldi archives of codes, through `kaldiio`. Letters: T frames, Q codebooks."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from aio_toolkit.errors import AioError
from aio_toolkit.files import atomic_path


def write_ark(ark: Path, scp: Path, codes: Mapping[str, np.ndarray]) -> None:
    """Write codes (T, Q) to an archive and their places to an scp file.

    Each appears only when it is complete. Codes are stored as 16-bit integers, in the archive's
    numpy form: Kaldi's own matrices are of floats.

    Args:
        ark: the archive.
        scp: the file of `id archive:offset` lines.
        codes: by id.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scp = Path(folder, "codes.scp")
    ...     write_ark(Path(folder, "codes.ark"), scp, {"asr-1": np.array([[3, 1]])})
    ...     ArkReader(scp)["asr-1"]
    array([[3, 1]], dtype=int16)
    """
    import kaldiio

    small = {key: np.asarray(codes_TQ, dtype=np.int16) for key, codes_TQ in codes.items()}
    with atomic_path(ark) as temporary_ark, atomic_path(scp) as temporary_scp:
        kaldiio.save_ark(str(temporary_ark), small, scp=str(temporary_scp), write_function="numpy")
        lines = temporary_scp.read_text(encoding="utf-8")
        # The archive is about to get its real name.
        lines = lines.replace(str(temporary_ark), str(ark))
        temporary_scp.write_text(lines, encoding="utf-8")


def read_places(scp: Path) -> dict[str, str]:
    """The place of each utterance's codes, from an scp file; none where there is no file."""
    if not scp.is_file():
        return {}
    lines = scp.read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


class ArkReader(Mapping[str, np.ndarray]):
    """The codes of an scp file by utterance id, read when they are asked for.

    See `write_ark` for an example.
    """

    def __init__(self, scp: Path) -> None:
        """Read the places of the codes.

        Raises:
            AioError: there is no such file.
        """
        if not scp.is_file():
            raise AioError(
                f"{scp} does not exist: nothing has asked for these codes so far. Run stage 2 "
                "again with the same --ssl_config and --train_config; it adds what they want."
            )
        self.scp = scp
        self.places = read_places(scp)

    def __getitem__(self, key: str) -> np.ndarray:
        """The codes (T, Q) of an utterance; AioError where they are missing or damaged."""
        import kaldiio

        if key not in self.places:
            raise AioError(f"{self.scp} has no entry for {key}. Run stage 2 (tokenization) again.")
        place = self.places[key]
        try:
            return np.array(kaldiio.load_mat(place))
        except Exception as error:  # kaldiio raises whatever its parsers raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise AioError(
                f"{place} of {key} cannot be read ({reason}). "
                f"Delete {self.scp.parent} and run stage 2 again."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)
