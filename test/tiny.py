"""A whole model, a training run and a dump that are small enough for tests."""

import json
from pathlib import Path

import numpy as np
import torch

from aio_toolkit.data.arks import write_ark
from aio_toolkit.data.batch import Batch
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.encoders.base import EncoderConfig
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.ssl import SslEncoder
from aio_toolkit.moe.layer import AttentionConfig, MoEConfig

# Keys that cut stage 3 to eight steps of a tiny model.
SSL_OVERRIDES = [
    "model.encoder.width=16",
    "model.encoder.num_layers=1",
    "model.encoder.num_heads=2",
    "model.encoder.hidden=16",
    "data.seconds={asr: 1.0, sep: 1.0}",
    "optim.warmup_steps=2",
    "trainer.max_steps=8",
    "trainer.val_check_interval=4",
    "trainer.checkpoint_every=2",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=1",
]
TASKS = ["asr", "sep"]
ENCODER = EncoderConfig(width=16, num_layers=2, num_heads=2, hidden=16)


def tiny_config(moe: MoEConfig | None = None, **backbone) -> AioModel.Config:
    moe = moe or MoEConfig(num_experts=4, top_k=2, expert_hidden=16)
    return AioModel.Config(
        Backbone.Config(width=16, num_layers=2, num_heads=2, hidden=32, conv_kernel=3, moe=moe, **backbone),
        TextHead.Config(num_layers=1, num_heads=2, hidden=16),
        CodesHead.Config(hidden=16),
    )


def tiny_model(vocabulary, moe: MoEConfig | None = None, **backbone) -> AioModel:
    torch.manual_seed(0)
    return AioModel(tiny_config(moe, **backbone), TASKS, SslEncoder(ENCODER, 12), vocabulary, torch.randn(2, 9, 4))


def with_attention_experts(**options) -> MoEConfig:
    attention = AttentionConfig(layers=[0, 1], num_experts=4, top_k=2, head_width=8)
    return MoEConfig(num_experts=4, top_k=2, expert_hidden=16, attention=attention, **options)


def tiny_batch() -> Batch:
    torch.manual_seed(1)
    lengths_B = torch.tensor([20, 13, 17, 20])
    targets = {"asr": torch.randint(1, 20, (2, 4)), "sep": torch.randint(9, (2, 2, 20, 2))}
    rows = {"asr": slice(0, 2), "sep": slice(2, 4)}
    return Batch(list("abcd"), torch.tensor([0, 0, 1, 1]), torch.randn(4, 20, 12), lengths_B, None, rows, targets)


def write_dump(
    root: Path, splits=("train", "dev"), num=6, num_features=12, Q=2, V=16, tasks=("asr", "sep")
) -> tuple[Path, Path]:
    """Data dirs and dumps of random features and codes for `asr`, `st` and `sep`; returns (data, dump)."""
    rng = np.random.default_rng(0)
    for split in splits:
        utterances, arks = [], {name: {} for name in ("feats", "codes_wav", "codes_spk1", "codes_spk2")}
        for index in range(num):
            T = int(rng.integers(20, 30))
            for task in tasks:
                key = f"{task}-{split}-{index}"
                targets = {"spk1": "none.wav", "spk2": "none.wav"} if task == "sep" else {}
                texts = {"asr": {"text": "red cat sees dog"}, "st": {"text.fr": "chat voit chien"}}.get(task, {})
                utterances.append(Utterance(key, task, f"s{index}", "none.wav", T * 320, texts, targets))
                arks["feats"][key] = rng.standard_normal((T, num_features)).astype(np.float32)
                arks["codes_wav"][key] = rng.integers(0, V, (T, Q))
                for target in targets:
                    arks[f"codes_{target}"][key] = rng.integers(0, V, (T, Q))
        write_data_dir(root / "data" / split, utterances)
        dump = root / "dump" / split
        dump.mkdir(parents=True)
        for name, arrays in arks.items():
            write_ark(dump / f"{name}.ark", dump / f"{name}.scp", arrays)
        frames = {key: len(feats) for key, feats in arks["feats"].items()}
        (dump / "utt2num_frames").write_text("".join(f"{key} {T}\n" for key, T in frames.items()))
        codec = {"name": "random", "sample_rate": 16000, "hop": 320, "num_codebooks": Q, "codebook_size": V}
        (dump / "codec.json").write_text(json.dumps(codec))
        (dump / "frontend.json").write_text(json.dumps({"name": "random"}))
    return root / "data", root / "dump"
