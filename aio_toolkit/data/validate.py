"""Checks of a data dir and of all audio that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aio_toolkit.data.audio import count_samples, read_header
from aio_toolkit.data.datadir import Utterance, read_data_dir
from aio_toolkit.data.resampling import notice_resampling, resampled_length
from aio_toolkit.data.tables import Problems
from aio_toolkit.errors import AioError
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task


def validate_data_dir(
    directory: Path | str,
    tasks: Mapping[str, Task],
    sample_rate: int,
    *,
    check_audio: bool = True,
) -> None:
    """Check a data dir and, unless told otherwise, all audio that it names.

    Lengths are compared with `utt2num_samples`. Of PCM files only the header is read; NaN and Inf
    can hide in float files, pipes and archives, so all of their samples are.

    Args:
        directory: the data dir.
        tasks: all tasks of the recipe, by name.
        sample_rate: Hz that `utt2num_samples` refers to.
        check_audio: False checks the files of the data dir only.

    Raises:
        AioError: with up to ten problems of each kind and the count of all.

    >>> validate_data_dir("data/nowhere", {}, sample_rate=16000)
    Traceback (most recent call last):
    aio_toolkit.errors.AioError: data/nowhere has no wav.scp, so it is no finished data dir. ...
    """
    utterances = read_data_dir(directory, tasks)
    _notice_silent(directory, utterances)
    if not check_audio:
        return

    problems = Problems(str(directory))
    for utterance in progress(utterances, f"check {directory}"):
        for file, spec in utterance.waves.items():
            where = f"{file}: {utterance.id}"
            try:
                length = _checked_length(spec, sample_rate)
            except AioError as error:
                problems.add(f"{where}: {error}")
                continue
            if length != utterance.num_samples:
                found = f"{spec} has {length} samples at {sample_rate} Hz"
                expected = f"utt2num_samples says {utterance.num_samples}"
                remedy = "Fix that line, or run: ../../utils/fit_targets.sh"
                problems.add(f"{where}: {found}, {expected}. {remedy} {directory}")
    problems.raise_any()


def _notice_silent(directory: Path | str, utterances: Sequence[Utterance]) -> None:
    """Count the utterances in which nothing is said; most likely their text is missing."""
    silent = [utterance.id for utterance in utterances if "" in utterance.answers.values()]
    if silent:
        found = f"{len(silent)} of {len(utterances)} utterances have an empty text"
        print(f"notice: {directory}: {found}, the first is {silent[0]}: nothing is said there?")


def _checked_length(spec: str, sample_rate: int) -> int:
    """Samples of a wave at the recipe's rate; AioError where reading it would raise one."""
    header = read_header(spec)
    # Where there is no header, or one that does not rule NaN out, nothing but reading will tell.
    if header is None or header.may_hold_nan:
        header = count_samples(spec)
    if header.sample_rate != sample_rate:
        notice_resampling(header.sample_rate, sample_rate)
    return resampled_length(header.num_samples, header.sample_rate, sample_rate)
