"""A finished model as a folder to hand on: tensors, plain values and text, nothing that runs."""

import os
import shutil
import tempfile
from pathlib import Path

from aio_toolkit import parts
from aio_toolkit.answers.decode_stamp import STAMP, DecodeStamp
from aio_toolkit.codec.base import ARCHITECTURE, check_same, load_codec
from aio_toolkit.errors import AioError
from aio_toolkit.files import TEMPORARY_PREFIX, mode_of_new, sha256_file
from aio_toolkit.hub.card import About, card_of
from aio_toolkit.hub.checksums import (
    CARD,
    CHECKSUMS,
    CODEC,
    MODEL_YAML,
    UNITS,
    WEIGHTS,
    write_checksums,
)
from aio_toolkit.hub.unpack import VERSION, unpack, with_codec
from aio_toolkit.models.checkpoint import MODEL, LoadedAio, load_aio
from aio_toolkit.models.half import halved
from aio_toolkit.plain_yaml import write_plain
from aio_toolkit.tensor_files import write_tensors

# What is taken of a codec's folder.
CODEC_FILES = (ARCHITECTURE, "*.safetensors")


def pack_model(
    model: Path, out: Path, about: About, codec: Path | None = None, *, half: bool = False
) -> None:
    """Pack a model; a pack that is there already gives way when the new one is whole.

    Args:
        model: experiment folder of stage 4, or of a sub-network.
        out: the pack.
        about: what its card tells besides.
        codec: folder of the codec, to go with it; decoding through the codec needs it.
        half: write the weights as float16, half the size.

    Raises:
        AioError: there is no model, the codec or the results are those of another one, something
            else is at `out`, or what was packed cannot be loaded.
    """
    if out.exists() and not (out / CHECKSUMS).is_file():
        raise AioError(f"{out} is there and is no pack. Choose another folder.")
    loaded = load_aio(model / MODEL)
    _check_results(model / MODEL, about)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside `out`, as a rename across file systems would be a copy.
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=TEMPORARY_PREFIX))
    try:
        _write(folder, loaded, about, codec, half=half)
        # One that nobody could load is told now, not to a colleague.
        unpack(folder, folder, trust=parts.packages())
        folder.chmod(mode_of_new(0o777))
        if out.exists():
            shutil.rmtree(out)
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_results(model: Path, about: About) -> None:
    """Refuse scores that a model had before it was trained for longer, or anew."""
    for path in about.results:
        folder = path if path.is_dir() else path.parent
        # Whoever moves results away from their answers answers for them.
        if (folder / STAMP).is_file() and DecodeStamp.read(folder).model != sha256_file(model):
            remedy = "Run stages 5 and 6 again"
            raise AioError(f"{path} has the scores of another model than {model}. {remedy}.")


def _write(
    folder: Path, loaded: LoadedAio, about: About, codec: Path | None, *, half: bool
) -> None:
    content = loaded.content()
    state = content["state"]
    write_tensors(folder / WEIGHTS, halved(state) if half else state)
    description = {
        "version": VERSION,
        "parts": [package for package in parts.packages() if package != parts.ROOT],
        # The codec is where the pack is.
        "config": with_codec(content["config"], CODEC),
        "encoder": with_codec(content["encoder"], CODEC),
        "tasks": content["tasks"],
        "num_experts": content["num_experts"],
        "example_seconds": content["example_seconds"],
    }
    write_plain(folder / MODEL_YAML, description)
    for kind, units in loaded.model.units.items():
        units.needed(loaded.model.wanted(kind)).pack(folder / UNITS / kind)
    if codec is not None:
        _write_codec(codec, loaded, folder / CODEC)
    elif any(isinstance(getattr(part, CODEC, None), str) for part in loaded.model.modules()):
        raise AioError("a part of the model needs its codec. Name its folder: --codec.")
    (folder / CARD).write_text(card_of(loaded.model, about, half=half), encoding="utf-8")
    write_checksums(folder)


def _write_codec(codec: Path, loaded: LoadedAio, folder: Path) -> None:
    if not (codec / ARCHITECTURE).is_file():
        problem = f"{codec} is no folder of a codec: {ARCHITECTURE} is not in it"
        remedy = "Those known by a name are found by it; others go as stage 2 writes them"
        raise AioError(f"{problem}. {remedy}.")
    check_same(loaded.codec, load_codec(codec).fingerprint, f"codec {codec}")
    folder.mkdir()
    for pattern in CODEC_FILES:
        for path in codec.glob(pattern):
            shutil.copyfile(path, folder / path.name)
