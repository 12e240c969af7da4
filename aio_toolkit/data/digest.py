"""What data are, told without reading their audio: names, sizes and times of files.

Files that were written again count as changed, even if their content is what it was.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from aio_toolkit.data.audio import is_pipe
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.segments import split_stretch
from aio_toolkit.data.source_dir import Source


def signature_of(spec: str) -> str:
    """What tells a wave from an earlier version of it; of a pipe its command alone.

    >>> signature_of("cat a.wav |")
    'cat a.wav |'
    """
    recording, _ = split_stretch(spec)
    if is_pipe(recording):
        return spec
    path = Path(recording)
    if not path.is_file():
        # An offset into an archive: `file.ark:123`.
        path = Path(recording.rpartition(":")[0])
    if not path.is_file():
        return spec
    status = path.stat()
    return f"{spec} {status.st_size} {status.st_mtime_ns}"


def waves_digest(utterance: Utterance) -> str:
    """What tells the waves of an utterance, its input's and its answer's, from others."""
    specs = [*utterance.waves.values(), *utterance.inputs.values()]
    return _hash([str(utterance.num_samples), *map(signature_of, specs)])


def digest_of(utterances: Iterable[Utterance]) -> str:
    """What tells utterances, with all that is known of them, from others; their order counts not.

    >>> from aio_toolkit.tasks import Task
    >>> asr = Task("asr", "", "text", ("text",), ("wer",))
    >>> said = Utterance("asr-1", asr, "ann", "cat a.wav |", 16000, {"text": "yes"})
    >>> unsaid = Utterance("asr-1", asr, "ann", "cat a.wav |", 16000, {"text": "no"})
    >>> digest_of([said]) == digest_of([unsaid])
    False
    """
    lines = []
    for utterance in utterances:
        answers = json.dumps(utterance.answers, sort_keys=True)
        told = utterance.id, utterance.task.name, utterance.speaker, answers
        lines.append("\t".join((*told, waves_digest(utterance))))
    return _hash(sorted(lines))


def sources_digest(sources: Iterable[Source]) -> str:
    """What tells sources of mixtures from others; their order counts not.

    >>> rain = Source("rain-1", "rain", "cat rain.wav |", 16000)
    >>> sources_digest([rain]) == sources_digest([])
    False
    """
    lines = set()
    for source in sources:
        told = source.id, source.speaker, source.part, str(source.num_samples)
        lines.add("\t".join((*told, signature_of(source.wav))))
    return _hash(sorted(lines))


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
