"""What stage 5 leaves in a decode folder: hypotheses and the waves of several outputs per audio task."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.errors import AioError
from aio_toolkit.tasks import Task

# The model's two outputs, the same two of a model that makes no error, and masks made of the true sources.
OUTPUTS = ("codec", "wiener", "oracle_codec", "oracle_wiener", "ideal_mask")
MAX_SHOWN = 10


@dataclass(frozen=True)
class AudioOutputs:
    """The waves of one utterance.

    Attributes:
        utterance: the utterance with its mixture and references.
        estimates: output name to target name to wave.
    """

    utterance: Utterance
    estimates: dict[str, dict[str, str]]


def read_hypotheses(path: Path, utterances: Sequence[Utterance]) -> list[str]:
    """The hypothesis of each utterance, in their order; a line with an id alone is an empty hypothesis.

    Raises:
        AioError: the file is missing or lacks utterances.
    """
    table = read_lines(path)
    _check_complete(path, (u.id for u in utterances if u.id not in table))
    return [table[u.id] for u in utterances]


def read_audio_outputs(decode: Path, task: Task, utterances: Sequence[Utterance]) -> list[AudioOutputs]:
    """What each output of `OUTPUTS` has of each utterance. Only `codec` must be there.

    Raises:
        AioError: an output lacks targets of some utterances.
    """
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for output in OUTPUTS:
        folder = decode / task.name / output
        if output == "codec" or folder.is_dir():
            scps = {target: folder / f"{target}.scp" for target in task.targets}
            tables[output] = {target: read_lines(path) for target, path in scps.items() if path.is_file()}
            lacking = (u.id for u in utterances if not _is_complete(tables[output], task, u))
            _check_complete(folder, lacking)
    return [
        AudioOutputs(
            u,
            {
                output: {target: table[u.id] for target, table in by_target.items() if u.id in table}
                for output, by_target in tables.items()
            },
        )
        for u in utterances
    ]


def has_output(decode: Path, task: Task) -> bool:
    """Whether a decode folder holds anything of a task."""
    return (decode / task.name / ("text" if task.output == "text" else "codec")).exists()


def read_lines(path: Path) -> dict[str, str]:
    """`id value` lines in any order; the value may be empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise AioError(f"{path} does not exist. Run stage 5 (decoding).") from None
    except UnicodeDecodeError as error:
        raise AioError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Convert it.") from None
    fields = [line.strip().split(maxsplit=1) for line in lines if line.strip()]
    return {key: "".join(value) for key, *value in fields}


def _is_complete(by_target: dict[str, dict[str, str]], task: Task, utterance: Utterance) -> bool:
    available = [target for target, table in by_target.items() if utterance.id in table]
    if task.match == "permutation":
        return len(available) >= len(utterance.targets)
    return set(utterance.targets) <= set(available)


def _check_complete(path: Path, lacking: Iterable[str]) -> None:
    ids = sorted(lacking)
    if ids:
        more = f" and {len(ids) - MAX_SHOWN} more" if len(ids) > MAX_SHOWN else ""
        raise AioError(
            f"{path} lacks {len(ids)} utterances of the data dir: {', '.join(ids[:MAX_SHOWN])}{more}. "
            "Finish stage 5 (decoding) with the same data dir."
        )
