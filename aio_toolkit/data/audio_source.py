"""Opening what a `wav.scp` may name: files, Kaldi pipes (`cmd |`), ark offsets, stretches of them
(`a.wav#t=1.5,3`); and streams."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from aio_toolkit.data.ark import ArkAudio, check_last, holds_file, is_ark_offset, split_offset
from aio_toolkit.data.audio_lengths import lacking_wav, tells_length
from aio_toolkit.data.decoder import CutOff, Decoder, not_audio
from aio_toolkit.data.foreign_audio import ForeignAudio, open_foreign
from aio_toolkit.data.segments import Segment, split_stretch
from aio_toolkit.data.streams import output_of, rest_of, seekable
from aio_toolkit.errors import AioError


def is_pipe(spec: str) -> bool:
    """Whether `spec` is a Kaldi pipe: a command whose output is the audio.

    >>> is_pipe("sph2pipe -f wav a.sph |")
    True
    """
    recording, _ = split_stretch(spec)
    return recording.rstrip().endswith("|")


def name_of(spec: str | BinaryIO) -> str:
    """What messages call some audio.

    >>> import io
    >>> name_of("a.wav"), name_of(io.BytesIO())
    ('a.wav', 'the stream')
    """
    return spec if isinstance(spec, str) else str(getattr(spec, "name", "the stream"))


@contextmanager
def open_source(spec: str | BinaryIO, *, partial: bool = False) -> Iterator[Decoder]:
    """Open audio; no more of it than its beginning is read.

    Args:
        spec: a path, a pipe, an ark offset, a stretch of one of them, or a binary stream such as
            standard input.
        partial: open it also where it is seen that its end is missing.

    Raises:
        AioError: it is missing, empty, cut off or not audio, or a command failed.
    """
    with ExitStack() as stack:
        decoder = _open(spec, stack)
        if decoder.cut_off is not None and not partial:
            raise decoder.cut_off
        yield decoder


def _open(spec: str | BinaryIO, stack: ExitStack) -> Decoder:
    name = name_of(spec)
    if not isinstance(spec, str):
        return _decoder(stack, name, stack.enter_context(seekable(spec)))
    recording, stretch = split_stretch(spec)
    if stretch is not None:
        return Segment(_open(recording, stack), stretch, name)
    if is_pipe(spec):
        command = spec.rstrip().removesuffix("|").strip()
        return _decoder(stack, name, stack.enter_context(output_of(command)))
    if not is_ark_offset(spec):
        return _decoder(stack, name, stack.enter_context(_open_file(spec)), path=spec)

    path, offset = split_offset(spec)
    file = stack.enter_context(_open_file(path))
    if not holds_file(spec, file):
        return ArkAudio(spec)
    decoder = _decoder(stack, name, rest_of(file, offset))
    if isinstance(decoder, ForeignAudio):
        check_last(spec, file)
    return decoder


def _decoder(stack: ExitStack, name: str, file: BinaryIO, path: str | None = None) -> Decoder:
    """libsndfile's where a file tells how long it is, else FFmpeg's, which reads to its end."""
    # Imported here, as it loads libsndfile, which commands that only print their help do not need.
    import soundfile

    from aio_toolkit.data.native_audio import open_native

    reason = "no decoder knows it"
    told = tells_length(file)
    lacking = lacking_wav(file)
    if told:
        try:
            native = stack.enter_context(open_native(path or file, name))
        except soundfile.LibsndfileError as error:
            reason, native = error.error_string.rstrip("."), None
        if native is not None:
            return _cut(native, name, lacking)
    foreign = open_foreign(file, name, to_end=not told)
    if foreign is None:
        raise not_audio(name, reason)
    return _cut(foreign, name, lacking)


def _cut(decoder: Decoder, name: str, lacking: tuple[int, int] | None) -> Decoder:
    """A decoder that knows of the samples that are there and those that should be."""
    if lacking is not None:
        decoder.cut_off = CutOff(name, *lacking)
        # Of a block that is coded together, a part says nothing.
        if decoder.num_samples is not None:
            decoder.num_samples = min(decoder.num_samples, lacking[0])
    return decoder


def _open_file(path: str) -> BinaryIO:
    if not Path(path).exists():
        remedy = "Fix the path, or run the data preparation again."
        if any(Path(column).exists() for column in path.split()[:-1]):
            remedy = "Are these two columns? A line is an id and one path; keep one."
        raise AioError(f"audio file {path} does not exist. {remedy}")
    if not Path(path).is_file():
        raise AioError(f"{path} is not a file. Fix the path.")
    if Path(path).stat().st_size == 0:
        remedy = "Make it again, or drop the utterance."
        raise AioError(f"audio file {path} is empty (0 bytes). {remedy}")
    try:
        return open(path, "rb")
    except OSError as error:
        problem = f"audio file {path} cannot be opened ({error.strerror})"
        raise AioError(f"{problem}. Make it readable, or fix the path.") from None
