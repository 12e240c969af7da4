"""The tasks that one model answers: what each reads, what it writes, how estimates meet references."""

from dataclasses import dataclass
from typing import Literal

from aio_toolkit.errors import AioError


@dataclass(frozen=True)
class Task:
    """One task of the All-In-One model.

    Attributes:
        name: value in `utt2task`, row of the router, prefix of utterance ids.
        output: text tokens or audio (codec codes).
        targets: files of the data dir that hold the answer: a text file, or one `<target>.scp` per source.
        match: how audio estimates meet references: by `query` (each has its own), or by the best `permutation`.
        residual: what the mixture holds besides the targets. It is predicted, so that every mask has a rival, and
            not scored; stage 2 makes it by subtraction.
        title: the name that tables show.
    """

    name: str
    output: Literal["text", "audio"]
    targets: tuple[str, ...]
    title: str
    match: Literal["query", "permutation"] = "query"
    residual: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """What an audio head predicts: the targets, then the residual where there is one."""
        return self.targets if self.residual is None else (*self.targets, self.residual)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("asr", "text", ("text",), "speech recognition"),
        Task("st", "text", ("text.fr",), "speech translation en-fr"),
        Task("sep", "audio", ("spk1", "spk2"), "speech separation", match="permutation"),
        Task("enh", "audio", ("speech",), "speech enhancement", residual="noise"),
        Task("sound", "audio", ("sound1", "sound2", "sound3"), "universal sound separation", match="permutation"),
        Task("music", "audio", ("vocals", "drums", "bass", "other"), "music source separation"),
    )
}

AUDIO_TARGETS: tuple[str, ...] = tuple(
    target for task in TASKS.values() if task.output == "audio" for target in task.targets
)
TEXT_FILES: tuple[str, ...] = tuple(
    target for task in TASKS.values() if task.output == "text" for target in task.targets
)


def get_task(name: str) -> Task:
    """The task called `name`; AioError names the known ones otherwise."""
    if name not in TASKS:
        raise AioError(f"unknown task '{name}'. Known tasks: {', '.join(TASKS)} (aio_toolkit/tasks.py).")
    return TASKS[name]
