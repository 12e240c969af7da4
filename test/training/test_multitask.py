"""Stage 4 from dump to model: its balance, its routing on file, its segments, and a new task."""

import csv
import itertools
import json
import math
from types import SimpleNamespace

import pytest
import torch
from tiny import NUM_CODEBOOKS, NUM_LATENTS, SSL_OVERRIDES, codec_fingerprint, write_dump
from tiny_training import curve, last_state

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.training import multitask
from aio_toolkit.training.config import AioTrainConfig, SslTrainConfig
from aio_toolkit.training.modules import AioModule
from aio_toolkit.training.multitask import train_multitask
from aio_toolkit.training.pretrain import pretrain

OVERRIDES = [
    "model.backbone={width: 16, num_layers: 2, num_heads: 2, hidden: 16, conv_kernel: 3}",
    "model.backbone.moe={num_experts: 4, top_k: 2, expert_hidden: 16}",
    "model.text_head={num_layers: 1, num_heads: 2, hidden: 16}",
    *[option for option in SSL_OVERRIDES if option.split(".")[0] in ("optim", "trainer")],
]
BOTH = "data.seconds={asr: 1.0, st: 1.0}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Random data of two text tasks, and an encoder pre-trained on it."""
    root = tmp_path_factory.mktemp("multitask")
    write_dump(root, tasks=("asr", "st"))
    options = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    pretrain_on(root, [*options, "data.seconds={asr: 1.0}"])
    return root


def pretrain_on(root, options: list[str]) -> None:
    config = load_config(SslTrainConfig, None, options)
    pretrain(config, root / "data", root / "dump", root / "ssl", ("train", "dev"))


def train(root, token, out: str, *more: str):
    """Train to `root/out` and read it back."""
    config = load_config(AioTrainConfig, None, [*OVERRIDES, *more])
    folders = (root / "data", root / "dump", root / "ssl", root / "no codec", token, root / out)
    train_multitask(config, *folders, ("train", "dev"))
    return load_aio(root / out / "model.pt")


def test_routing_is_logged_and_drawn(root, token):
    train(root, token, "logged", BOTH)
    rows = list(csv.DictReader(next((root / "logged" / "logs").glob("*/metrics.csv")).open()))
    logged = [row for row in rows if row.get("moe/block1.feed_forward/mutual_information")]
    assert len(logged) == 8
    assert {"effective_experts", "dead_experts", "entropy/asr", "entropy/st"} <= {
        name.removeprefix("moe/block1.feed_forward/") for name, value in logged[0].items() if value
    }
    routing = json.loads((root / "logged" / "routing.json").read_text())["block1.feed_forward"]
    assert routing["load"].keys() == {"asr", "st"}
    assert all(sum(shares) == pytest.approx(1) for shares in routing["load"].values())
    assert "| asr" in (root / "logged" / "ROUTING.md").read_text()
    assert (root / "logged" / "routing.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_bias_moves_once_an_optimiser_step_however_many_micro_batches_it_has(root, token):
    balance = "model.backbone.moe.balance={kind: bias, bias_rate: 0.125}"
    steps = ("trainer.accumulate_grad_batches=3", "trainer.max_steps=1")
    model = train(root, token, "bias", BOTH, balance, *steps).model
    bias_E = model.backbone.moe_layers()["block1.feed_forward"].router.bias_E
    assert set(bias_E.tolist()) <= {-0.125, 0.0, 0.125}
    assert bias_E.abs().max() == 0.125


def cost_of_balance(root, token, kind: str) -> dict[int, float]:
    """What the total of each step holds besides the losses of the tasks.

    Gates start at zero and there is no noise, so the first step has a closed form.
    """
    balance = f"model.backbone.moe.balance={{kind: {kind}, weight: 8.0, z_weight: 0.25}}"
    options = ("model.backbone.moe.router.noise=0", "optim.lr=0.05", "trainer.max_steps=4")
    out = f"cost_{kind}"
    train(root, token, out, BOTH, balance, *options)
    names = ("loss", "asr/loss", "st/loss")
    total, *tasks = (curve(root / out, f"train/{name}") for name in names)
    return {step: total[step] - sum(losses[step] for losses in tasks) for step in total}


@pytest.mark.parametrize(
    ("kind", "cost"),
    [
        ("mutual_information", 0.0),
        # E sum f P is 1 where all P are 1/4, and the squared log-sum-exp is that of four zeros.
        ("switch", 1.0 + 0.25 * math.log(4) ** 2),
        ("bias", 0.0),
        ("none", 0.0),
    ],
)
def test_a_balance_costs_what_its_definition_says(root, token, kind, cost):
    assert cost_of_balance(root, token, kind)[0] == pytest.approx(8.0 * cost, abs=1e-4)


def test_uneven_importance_and_load_cost_something(root, token):
    assert min(cost_of_balance(root, token, "importance_load").values()) > 1e-3


def test_the_balance_of_mod_squad_is_the_information_that_is_logged(root, token):
    cost = cost_of_balance(root, token, "mutual_information")
    name = "moe/block1.feed_forward/mutual_information"
    information = curve(root / "cost_mutual_information", name)
    assert information.keys() == cost.keys()
    assert information[3] > 0.01
    for step, value in information.items():
        assert cost[step] == pytest.approx(-8.0 * value, abs=1e-4)


def test_a_killed_run_ends_bit_equal_to_one_that_was_not(root, token, monkeypatch):
    """Without noise nothing of a step on text is drawn."""
    monkeypatch.setattr(multitask, "write_routing", lambda *arguments: None)
    balance = "model.backbone.moe.balance={kind: bias, bias_rate: 0.01}"
    quiet = (BOTH, balance, "model.backbone.moe.router.noise=0", "optim.lr=0.01")
    options = (*quiet, "trainer.accumulate_grad_batches=2", "trainer.max_steps=4")
    names = ["unharmed", "killed"]
    train(root, token, names[0], *options)
    original = AioModule.training_step

    def dies_in_step_3(self, batch, index):
        if self.global_step == 3:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(AioModule, "training_step", dies_in_step_3)
    with pytest.raises(RuntimeError):
        train(root, token, names[1], *options)
    monkeypatch.setattr(AioModule, "training_step", original)
    train(root, token, names[1], *options)
    states = [last_state(root / name) for name in names]
    assert states[0]["step"] == 4
    torch.testing.assert_close(*states, atol=0, rtol=0)
    losses = [curve(root / name, "train/loss") for name in names]
    assert losses[0] == losses[1]


def test_a_resumed_run_remembers_the_routing_of_the_step_before(root, token, monkeypatch):
    original, seen = AioModule.on_train_batch_end, []

    def dies_after_the_fifth(self, *arguments):
        original(self, *arguments)
        seen.append(self.pool.previous["block1.feed_forward"].count_GE.clone())
        if len(seen) == 5:
            raise RuntimeError("killed")

    monkeypatch.setattr(AioModule, "on_train_batch_end", dies_after_the_fifth)
    with pytest.raises(RuntimeError):
        train(root, token, "resumed", BOTH)
    monkeypatch.setattr(AioModule, "on_train_batch_end", original)
    loaded = []

    def remember(self):
        loaded.append(dict(self.pool.previous))

    monkeypatch.setattr(AioModule, "on_train_start", remember, raising=False)
    train(root, token, "resumed", BOTH)
    # The checkpoint is of step 4.
    assert torch.equal(loaded[0]["block1.feed_forward"].count_GE, seen[3])


def test_a_new_task_leaves_everything_else_bit_equal(root, token):
    before = train(root, token, "known", "data.seconds={asr: 1.0}")
    after = train(root, token, "adapted", "data.seconds={st: 1.0}", f"adapt={root / 'known'}")
    assert after.model.tasks == ["asr", "st"]
    old, new = before.model.state_dict(), after.model.state_dict()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert moved == {"text_head.decoder.embed.0.weight"}
    start = "text_head.decoder.embed.0.weight"
    rows = (old[start] != new[start]).any(1)
    assert rows.nonzero()[:, 0].tolist() == [after.vocabulary.start("st")]
    assert {name.rsplit(".", 2)[0] for name in new.keys() - old.keys()} == {
        "backbone", "backbone.blocks.1.feed_forward.router", "text_head.ctc.st"
    }  # fmt: skip


def test_a_task_of_no_seconds_is_not_trained(root, token):
    options = (BOTH, "data.seconds.asr=0", "trainer.max_steps=1")
    assert train(root, token, "alone", *options).model.tasks == ["st"]


def test_adaptation_takes_one_task(root, token):
    train(root, token, "known", "data.seconds={asr: 1.0}")
    with pytest.raises(AioError, match="adapt teaches one new task; data.seconds names asr, st"):
        train(root, token, "two", BOTH, f"adapt={root / 'known'}")


SILENCE_Q = torch.tensor([3, 11])


def stub_codec() -> SimpleNamespace:
    """What stage 4 asks a codec of sixteen codes for."""
    return SimpleNamespace(
        fingerprint=codec_fingerprint(NUM_CODEBOOKS, 16),
        codebook_embeddings=lambda: torch.randn(NUM_CODEBOOKS, 16, NUM_LATENTS),
        silence_codes=lambda: SILENCE_Q,
    )


def batches_of(monkeypatch, step: str) -> list:
    """The batches that a step of stage 4 is going to see."""
    original, seen = getattr(AioModule, step), []

    def spy(self, batch, index):
        seen.append(batch)
        return original(self, batch, index)

    monkeypatch.setattr(AioModule, step, spy)
    return seen


@pytest.fixture
def on_sounds(tmp_path, token, monkeypatch) -> tuple[list, list]:
    """Batches of training and of validation in a run on sounds in segments of 0.2 s."""
    write_dump(tmp_path, tasks=("sound",))
    monkeypatch.setattr(multitask.DacCodec, "load", lambda folder: stub_codec())
    seen = [batches_of(monkeypatch, f"{split}_step") for split in ("training", "validation")]
    steps = ("trainer.max_steps=2", "trainer.val_check_interval=2")
    options = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    seconds = "data.seconds={sound: 1.0}"
    pretrain_on(tmp_path, [*options, seconds, *steps])
    train(tmp_path, token, "exp", seconds, "data.segment_seconds=0.2", *steps)
    return tuple(seen)


def test_segments_are_cut_in_training_and_not_in_validation(on_sounds):
    training, validation = on_sounds
    assert {batch.feats_BTF.shape[1] for batch in training} == {10}
    assert min(batch.lengths_B.min() for batch in validation) >= 20


def test_an_absent_sound_is_the_codec_s_silence(on_sounds):
    for batch in itertools.chain(*on_sounds):
        of_third_BTQ = batch.targets["sound"][:, 2]
        for row_TQ, length in zip(of_third_BTQ, batch.lengths_B, strict=True):
            assert torch.equal(row_TQ[:length], SILENCE_Q.expand(length, 2))
