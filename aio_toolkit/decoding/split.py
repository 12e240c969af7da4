"""Stage 5: every task of a split from the one checkpoint, resumable utterance by utterance."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.codec.base import Codec, check_fingerprint
from aio_toolkit.codec.dac import DacCodec
from aio_toolkit.data.arks import ArkReader
from aio_toolkit.data.audio import write_wav
from aio_toolkit.data.batch import Batch, Example, collate
from aio_toolkit.data.datadir import Utterance
from aio_toolkit.data.dataset import DumpDataset
from aio_toolkit.data.sampler import fixed_batches
from aio_toolkit.data.sources import present_sources, read_input, read_sources
from aio_toolkit.decoding.audio import estimate_waves, ideal_mask, mixture_consistent, oracle_wiener
from aio_toolkit.decoding.config import AudioConfig, DecodeConfig
from aio_toolkit.decoding.text import build_search, decode_text
from aio_toolkit.files import atomic_path, read_json, sha256_file, write_json
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.checkpoint import MODEL, load_aio
from aio_toolkit.progress import progress
from aio_toolkit.tasks import Task, get_task

# What stage 6 scores for an audio task: the model's two outputs, the same two of a model without error, and masks
# made of the true sources.
VARIANTS = ("codec", "wiener", "oracle_codec", "oracle_wiener", "ideal_mask")


@torch.inference_mode()
def decode_split(
    config: DecodeConfig,
    model_dir: Path,
    codec_path: str,
    data: Path,
    dump: Path,
    out: Path,
    tasks: Sequence[str] = (),
) -> None:
    """Decode the tasks that both model and data dir know.

    Args:
        config: beam search, audio mode, Wiener filter.
        model_dir: folder of stage 4.
        codec_path: the codec that the model was trained with.
        data: data dir.
        dump: its dump.
        out: decode folder.
        tasks: tasks to decode; all by default.
    """
    loaded = load_aio(model_dir / MODEL)
    model, provenance = loaded.model, loaded.provenance
    check_fingerprint(provenance.codec, read_json(dump / "codec.json"), f"codes in {dump} against {model_dir}")
    check_fingerprint(provenance.frontend, read_json(dump / "frontend.json"), f"features in {dump} against {model_dir}")
    _begin(out, {"config": dataclasses.asdict(config), "model": sha256_file(model_dir / MODEL)})
    tasks = list(tasks) or model.tasks
    dataset = DumpDataset(data, dump, tasks)
    codec = None
    if model.codes_head is not None:
        codec = DacCodec.load(codec_path)
        check_fingerprint(provenance.codec, codec.fingerprint, f"{codec_path} against {model_dir}")

    frames_per_batch = int(config.batch_seconds * provenance.codec["sample_rate"] / provenance.codec["hop"])
    for name in tasks:
        task = get_task(name)
        batches = _encoded(model, dataset, task, frames_per_batch, out)
        if task.output == "text":
            search = build_search(model.text_head, loaded.vocabulary, name, config.text)
            for utterances, inputs, h_BTD in batches:
                sentences = decode_text(search, loaded.vocabulary, h_BTD, inputs.lengths_B, config.text)
                for utterance, sentence in zip(utterances, sentences, strict=True):
                    _write_text(_text_path(out, utterance), sentence)
        else:
            targets = {source for u in dataset.utterances if u.task == name for source in present_sources(u)}
            codes = {target: ArkReader(dump / f"codes_{target}.scp", integers=True) for target in targets}
            for utterances, inputs, h_BTD in batches:
                mixture_BTC = model.latents_of(inputs.feats_BTF)
                for row, utterance in enumerate(utterances):
                    kept = slice(int(inputs.lengths_B[row]))
                    frames = h_BTD[row, kept], mixture_BTC[row, kept]
                    _decode_audio(config.audio, model.codes_head, codec, codes, out, utterance, *frames)
        _collect(out, task, [u for u in dataset.utterances if u.task == name])


def _begin(out: Path, stamp: dict) -> None:
    """Keep what a decode folder was made from; clear it when that has changed."""
    path = out / "decode.json"
    if path.is_file() and read_json(path) != stamp:
        print(f"{out} was made by another model or configuration: decoding anew")
        shutil.rmtree(out)
    if not path.is_file():
        write_json(path, stamp)


def _encoded(
    model: AioModel, dataset: DumpDataset, task: Task, frames_per_batch: int, out: Path
) -> Iterator[tuple[list[Utterance], Batch, torch.Tensor]]:
    """Utterances that are not decoded yet, their features and their backbone frames, batch by batch."""
    todo = [
        index
        for index, utterance in enumerate(dataset.utterances)
        if utterance.task == task.name and not _finished(out, utterance, task)
    ]
    frames = [dataset.num_frames[index] for index in todo]
    bar = progress(range(len(todo)), f"decode {task.name}")
    with bar:
        for batch in fixed_batches([task.name] * len(todo), frames, frames_per_batch):
            utterances = [dataset.utterances[todo[index]] for index in batch]
            examples = [Example(u.id, u.task, dataset.feats[u.id]) for u in utterances]
            inputs = collate(examples, model.tasks)
            h_BTD, _ = model.encode(inputs.feats_BTF, inputs.lengths_B, inputs.task_B)
            yield utterances, inputs, h_BTD
            bar.update(len(batch))


def _decode_audio(
    config: AudioConfig,
    head: CodesHead,
    codec: Codec,
    codes: dict[str, ArkReader],
    out: Path,
    utterance: Utterance,
    h_TD: torch.Tensor,
    mixture_TC: torch.Tensor,
) -> None:
    """Write the waves of all variants for one utterance."""
    task = get_task(utterance.task)
    mixture_S = torch.from_numpy(read_input(utterance, codec.sample_rate))
    waves_NS = estimate_waves(head, codec, h_TD, mixture_TC, task.name, len(mixture_S), config.mode)
    present = present_sources(utterance)
    codes_NTQ = torch.stack([torch.from_numpy(codes[source][utterance.id]) for source in present])
    oracle_NS = codec.decode(codes_NTQ)[:, : len(mixture_S)]
    true_NS = torch.from_numpy(np.stack(list(read_sources(utterance, codec.sample_rate).values())))
    results = {
        "codec": (task.sources, waves_NS),
        "wiener": (task.sources, mixture_consistent(mixture_S, waves_NS, config)),
        "oracle_codec": (present, oracle_NS),
        "oracle_wiener": (present, oracle_wiener(mixture_S, oracle_NS, config)),
        "ideal_mask": (present, ideal_mask(mixture_S, true_NS, config)),
    }
    for variant, (sources, result_NS) in results.items():
        for target, wave_S in zip(sources, result_NS, strict=True):
            if target == task.residual:
                continue
            # Floats: the codec may overshoot full scale, and clipping would be scored as the model's error.
            path = _wave_path(out, utterance, variant, target)
            write_wav(path, wave_S.numpy(), codec.sample_rate, subtype="FLOAT")
    _flag(out, utterance).parent.mkdir(parents=True, exist_ok=True)
    _flag(out, utterance).touch()


def _text_path(out: Path, utterance: Utterance) -> Path:
    return out / utterance.task / "utterances" / f"{utterance.id}.txt"


def _write_text(path: Path, sentence: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(sentence + "\n", encoding="utf-8")


def _wave_path(out: Path, utterance: Utterance, variant: str, target: str) -> Path:
    return out / utterance.task / variant / "wav" / f"{utterance.id}_{target}.wav"


def _flag(out: Path, utterance: Utterance) -> Path:
    """An empty file that says all waves of an utterance are written."""
    return out / utterance.task / "done" / utterance.id


def _finished(out: Path, utterance: Utterance, task: Task) -> bool:
    return (_text_path(out, utterance) if task.output == "text" else _flag(out, utterance)).is_file()


def _collect(out: Path, task: Task, utterances: list[Utterance]) -> None:
    """Write the task's hypothesis file, or the scp of each variant and target."""
    if task.output == "text":
        lines = [f"{u.id} {_text_path(out, u).read_text(encoding='utf-8').strip()}".rstrip() for u in utterances]
        _write_text(out / task.name / "text", "\n".join(lines))
        return
    for variant in VARIANTS:
        for target in task.targets:
            paths = [(u.id, _wave_path(out, u, variant, target)) for u in utterances]
            lines = [f"{key} {path}" for key, path in paths if path.is_file()]
            _write_text(out / task.name / variant / f"{target}.scp", "\n".join(lines))
