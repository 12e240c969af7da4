"""What a decode folder was made from, kept beside the answers."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json, write_json

STAMP = "decode.json"


@dataclass(frozen=True)
class DecodeStamp:
    """The origin of decoded answers.

    Attributes:
        config: the options of stage 5, `decoders` among them by kind of answer.
        model: hash of the checkpoint.
        sample_rate: Hz of audio.
        data: digest of the recordings; empty where nobody tells.

    >>> import tempfile
    >>> stamp = DecodeStamp({"decoders": {"text": {"beam_size": 5}}}, "0a1b", 16000, "2c3d")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stamp.claim(Path(folder))
    ...     DecodeStamp.read(Path(folder)) == stamp
    True
    >>> stamp.options_of("text"), stamp.options_of("audio")
    ({'beam_size': 5}, {})
    """

    config: dict[str, Any]
    model: str
    sample_rate: int
    data: str

    @classmethod
    def read(cls, folder: Path) -> "DecodeStamp":
        """Read the stamp of a decode folder.

        Raises:
            AioError: it is missing, damaged or of another version.
        """
        path = folder / STAMP
        remedy = "Run stage 5 (decoding) again."
        try:
            stamp = cls(**read_json(path))
            stamp.options_of("")
        except AioError as error:
            raise AioError(f"{str(error).partition('. ')[0]}. {remedy}") from None
        except (AttributeError, KeyError, TypeError):
            raise AioError(f"{path} is of another version of the toolkit. {remedy}") from None
        return stamp

    @property
    def half(self) -> bool:
        """Whether the weights of the model were rounded to float16."""
        return bool(self.config.get("half"))

    def options_of(self, kind: str) -> dict[str, Any]:
        """The options that a kind of answer was decoded with."""
        return self.config["decoders"].get(kind, {})

    def claim(self, folder: Path) -> None:
        """Take a folder for answers of this origin; remove those of another one.

        Raises:
            AioError: the folder holds files but no stamp, so that they are someone else's.
        """
        path = folder / STAMP
        content = dataclasses.asdict(self)
        there = list(folder.iterdir()) if folder.is_dir() else []
        if there and not path.is_file():
            problem = f"{folder} has files but no {STAMP}, so stage 5 did not make it"
            raise AioError(f"{problem}. Move it away, or choose another folder.")
        if there:
            try:
                if read_json(path) == content:
                    return
                reason = "was made by another model or configuration, or of other recordings"
            except AioError:
                reason = f"has a damaged {STAMP}"
            print(f"{folder} {reason}: decoding anew")
        for entry in there:
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry != path:
                entry.unlink()
        # Last, so that a folder which a killed process cleared in part has the old one.
        write_json(path, content)
