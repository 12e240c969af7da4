"""Our search for text against ESPnet's on the same trained head and the same frames.

All numbers are of one run, the contestants taking turns from batch to batch: seconds of search per
second of audio, without what comes before the head, and ratios. Batches hold sentences of similar
length, as stage 5 makes them. A head without training would not do, since it knows no end.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus
from trained import recipe_parser, recordings_of

from aio_toolkit.decoding.read import read_batch
from aio_toolkit.decoding.text import Hypothesis, Search, TextDecoder
from aio_toolkit.errors import cli
from aio_toolkit.heads.base import Frames
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import MODEL, load_aio
from aio_toolkit.tasks import Task

BATCH, WARM_UP = 16, 2


@cli
def main() -> None:
    """Print a block of lines for each text task."""
    args = recipe_parser(__doc__, "exp/train_aio", max_utts=150).parse_args()
    # Paths are relative to it, those in its data dirs too.
    os.chdir(args.recipe)
    loaded = load_aio(args.model / MODEL)
    model = loaded.model
    tasks = [task for task in model.tasks if task.output == "text"]
    rate = loaded.codec.sample_rate
    for task, utterances in recordings_of(args, tasks, model.tasks, rate):
        bench(model, task, list(frames_of(model, utterances)))


@torch.inference_mode()
def frames_of(model: AioModel, utterances: Sequence[Any]) -> Iterator[Frames]:
    """The frames of each recording alone."""
    for utterance in utterances:
        batch = read_batch(model, [utterance])
        yield model.frames(model.encode(batch), batch, utterance.task)


def bench(model: AioModel, task: Task, alone: list[Frames]) -> None:
    """Race the searches; count the sentences that they do not agree on."""
    alone.sort(key=lambda frames: int(frames.lengths_B))
    batches = [alone[first : first + BATCH] for first in range(0, len(alone), BATCH)]
    head, units = model.heads["text"], model.units["text"]
    ours = TextDecoder(TextDecoder.Config(), head, units)
    greedy = TextDecoder(TextDecoder.Config(search=Search.greedy), head, units)
    espnet = EspnetSearch(ours)
    together = f"ours, batches of {BATCH}"
    contestants = {
        "ESPnet, one by one": one_by_one(espnet.search),
        "ours, one by one": one_by_one(ours.search),
        together: lambda members: ours.search(collate(members)),
        "greedy, one by one": one_by_one(greedy.search),
    }
    seconds, found = race(contestants, batches)
    audio = sum(int(frames.lengths_B) for frames in alone) / model.encoder.grid.frame_rate

    print(f"{task.name}: {len(alone)} sentences, {audio:.0f} s, {torch.get_num_threads()} threads")
    baseline, *others = contestants
    for name, took in seconds.items():
        ratio = seconds[baseline] / took
        print(f"  {name}: real-time factor {took / audio:.5f}, {ratio:.1f} times ESPnet's speed")
    print(f"  {seconds[others[0]] / seconds[together]:.1f} times faster in batches")
    for name in others[:2]:
        pairs = list(zip(found[baseline], found[name], strict=True))
        best = sum(a[0].text != b[0].text for a, b in pairs)
        lists = sum(texts(a)[: len(b)] != texts(b) for a, b in pairs)
        print(f"  {name}: {best} best sentences and {lists} lists differ from ESPnet's", flush=True)


def one_by_one(search: Callable[[Frames], list[Any]]) -> Callable[[list[Frames]], list[Any]]:
    """A search that takes the rows of a batch singly."""
    return lambda members: [of_row for frames in members for of_row in search(frames)]


def collate(members: Sequence[Frames]) -> Frames:
    """One batch of rows of their own; the waves are left out."""
    rows = [frames.h_BTD[0] for frames in members]
    h_BTD = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths_B = torch.cat([frames.lengths_B for frames in members])
    wave_BS, samples_B = h_BTD.new_zeros(len(members), 0), torch.zeros_like(lengths_B)
    return Frames(h_BTD, lengths_B, members[0].task, wave_BS, samples_B)


@torch.inference_mode()
def race(
    contestants: dict[str, Callable[[list[Frames]], list[Any]]], batches: list[list[Frames]]
) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """Seconds that each contestant takes for all batches, and what it finds."""
    seconds = dict.fromkeys(contestants, 0.0)
    found: dict[str, list[Any]] = {name: [] for name in contestants}
    for search in contestants.values():
        for members in batches[:WARM_UP]:
            search(members)
    for members in batches:
        for name, search in contestants.items():
            start = time.perf_counter()
            answers = search(members)
            seconds[name] += time.perf_counter() - start
            found[name] += answers
    return seconds, found


def texts(hypotheses: Sequence[Hypothesis]) -> list[str]:
    """What they say, in order."""
    return [hypothesis.text for hypothesis in hypotheses]


class EspnetSearch:
    """ESPnet's batched beam search with the options of a decoder of ours."""

    def __init__(self, decoder: TextDecoder):
        self.decoder = decoder

    def search(self, frames: Frames) -> list[list[Hypothesis]]:
        """All finished hypotheses of each row, the best first."""
        results = self._search_of(frames.task)(
            frames.h_BTD,
            maxlenratio=self.decoder.config.max_length_ratio,
            x_lengths=frames.lengths_B,
        )
        return [[self._hypothesis(one) for one in of_row] for of_row in results]

    def _hypothesis(self, found: Any) -> Hypothesis:
        # The first token is the task's.
        text = self.decoder.vocabulary.decode(found.yseq[1:].tolist())
        return Hypothesis(text, float(found.score))

    def _search_of(self, task: Task) -> BatchBeamSearch:
        config, vocabulary = self.decoder.config, self.decoder.vocabulary
        head: TextHead = self.decoder.head
        search = BatchBeamSearch(
            scorers={
                "decoder": head.decoder,
                "ctc": CTCPrefixScorer(head.ctc[task.name], vocabulary.eos),
                "length_bonus": LengthBonus(len(vocabulary)),
            },
            weights={
                "decoder": 1.0 - config.ctc_weight,
                "ctc": config.ctc_weight,
                "length_bonus": config.length_bonus,
            },
            beam_size=config.beam_size,
            vocab_size=len(vocabulary),
            sos=vocabulary.start(task.name),
            eos=vocabulary.eos,
            pre_beam_score_key=None if config.ctc_weight == 1.0 else "full",
        )
        return search.eval()


if __name__ == "__main__":
    main()
