"""A page in the browser to try a model: a recording in, its answer to hear, to see and to read."""

import html
import itertools
from pathlib import Path
from typing import Any

from aio_toolkit.errors import AioError
from aio_toolkit.extras import require
from aio_toolkit.hub.cards import Card, Shown, line_of, read_within, show
from aio_toolkit.hub.model import Model

# Seconds that uploads and answers are kept, and from one look for older ones to the next.
KEPT, EVERY = 1800, 60
# Whoever would have to wait for more recordings than these is told to come back.
MOST_WAITING = 8
HEAD = """# All-In-One audio
Record or drop a sound of up to {minutes:g} minutes, choose a task, press Answer.
Nothing is passed on; all is deleted after {kept} minutes.
"""


def build(model: Model, max_minutes: float) -> Any:
    """The page of a model, a `gradio.Blocks`.

    Raises:
        AioError: gradio is not installed, or the model answers no recordings.
    """
    # Some tasks hear more than a recording.
    tasks = [task for task in model.tasks.values() if not task.inputs]
    if not tasks:
        problem = "all tasks of this model hear more than a recording"
        raise AioError(f"{problem}. Decode a data dir instead (aio_toolkit.bin.decode).")

    gr = gradio()
    deletion = EVERY, KEPT
    with gr.Blocks(title="aio_toolkit", analytics_enabled=False, delete_cache=deletion) as page:
        gr.Markdown(HEAD.format(minutes=max_minutes, kept=KEPT // 60))
        with gr.Row():
            recording = gr.Audio(type="filepath", label="recording", buttons=[])
            with gr.Column():
                choices = [(task.title, task.name) for task in tasks]
                task = gr.Radio(choices, value=tasks[0].name, label="task")
                button = gr.Button("Answer", variant="primary")
        # The recording, its sources, and the rest.
        slots = _Slots(gr, 2 + max(len(task.targets) for task in tasks))

        def on_click(path: str | None, name: str) -> list[Any]:
            try:
                return slots.filled(answer(model, path, name, max_minutes))
            except AioError as error:
                # An error of gradio's own kind would cover every part of the answer before.
                gr.Warning(html.escape(str(error)), duration=None, title="No answer")
                return slots.filled(Shown())

        button.click(
            on_click,
            [recording, task],
            slots.all,
            api_visibility="private",
            # The places of the answer are not there yet.
            show_progress_on=task,
        )
    # One at a time: two models at work would be slower than one after the other.
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
    return page


def answer(model: Model, path: str | None, task: str, max_minutes: float) -> Shown:
    """What is shown of the answer to an uploaded recording.

    Raises:
        AioError: there is none, it is too long, or it cannot be read.
    """
    if path is None:
        raise AioError("there is no recording yet. Record one, or drop a file.")
    try:
        recording = read_within(Path(path), max_minutes)
        answer = model.answer(task, recording.wave_CS, recording.rate)
        return show(model.tasks[task].title, recording, answer)
    except AioError as error:
        raise AioError(line_of(error, Path(path))) from None


class _Slots:
    """Places on the page for an answer, as many as the longest needs; others are hidden.

    Attributes:
        all: every component that an answer changes.
    """

    def __init__(self, gr: Any, num_cards: int):
        self._gr = gr
        self._task = gr.Markdown()
        with gr.Row(elem_classes="answer"):
            self._cards = [self._empty_card() for _ in range(num_cards)]
            with gr.Column(visible=False) as self._text:
                self._sentence = gr.Textbox(label="text", buttons=["copy"])
                self._words = gr.Dataframe(headers=["word", "from (s)", "to (s)"], label="words")
        card_parts = [part for card in self._cards for part in card]
        self.all = [self._task, *card_parts, self._text, self._sentence, self._words]

    def _empty_card(self) -> tuple[Any, Any, Any]:
        gr = self._gr
        # The player's own waveform would be as high for soft sources as for loud ones.
        plain = gr.WaveformOptions(show_recording_waveform=False)
        with gr.Column(visible=False, elem_classes="card") as column:
            sound = gr.Audio(interactive=False, waveform_options=plain, buttons=["download"])
            picture = gr.Image(interactive=False, show_label=False, buttons=[])
        return column, sound, picture

    def filled(self, shown: Shown) -> list[Any]:
        """What every component becomes."""
        gr = self._gr
        rows = [[w.text, f"{w.start:.2f}", f"{w.end:.2f}"] for w in shown.words]
        made = [f"## {shown.title}" if shown.title else None]
        for _, card in itertools.zip_longest(self._cards, shown.cards):
            made += self._card(card)
        text = gr.Column(visible=bool(shown.sentence))
        return [*made, text, shown.sentence, gr.Dataframe(rows, visible=bool(rows))]

    def _card(self, card: Card | None) -> list[Any]:
        gr = self._gr
        if card is None:
            return [gr.Column(visible=False), None, None]
        sound = gr.Audio((card.rate, card.wave_SC), label=card.title)
        picture = gr.Image(card.picture, alt_text=f"wave and spectrogram of {card.title}")
        return [gr.Column(visible=True), sound, picture]


def gradio() -> Any:
    """The module, which takes seconds to import.

    Raises:
        AioError: it is not installed.
    """
    require("demo")
    import gradio as module

    return module
