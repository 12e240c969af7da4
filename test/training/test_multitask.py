"""Stage 4 on text tasks: routing is logged and drawn, biases move, a new task leaves the old model alone."""

import csv
import json

import pytest
import torch
from tiny import SSL_OVERRIDES, write_dump

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.training.config import AioTrainConfig, SslTrainConfig
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
    options.append("data.seconds={asr: 1.0}")
    pretrain(
        load_config(SslTrainConfig, None, options),
        root / "data",
        root / "dump",
        root / "ssl",
        ("train", "dev"),
    )
    return root


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
    assert {task: pytest.approx(1) for task in ("asr", "st")} == {
        t: sum(e) for t, e in routing["load"].items()
    }
    assert "| asr" in (root / "logged" / "ROUTING.md").read_text()
    assert (root / "logged" / "routing.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_bias_moves_once_an_optimiser_step_however_many_micro_batches_it_has(root, token):
    options = (
        "model.backbone.moe.balance={kind: bias, bias_rate: 0.125}",
        "trainer.accumulate_grad_batches=3",
    )
    model = train(root, token, "bias", BOTH, *options, "trainer.max_steps=1").model
    bias_E = model.backbone.moe_layers()["block1.feed_forward"].router.bias_E
    assert set(bias_E.tolist()) <= {-0.125, 0.0, 0.125}
    assert bias_E.abs().max() == 0.125


@pytest.mark.parametrize("kind", ["importance_load", "switch", "none"])
def test_every_balance_trains(root, token, kind):
    train(root, token, kind, BOTH, f"model.backbone.moe.balance.kind={kind}", "trainer.max_steps=2")


def test_a_resumed_run_remembers_the_routing_of_the_step_before(root, token, monkeypatch):
    from aio_toolkit.training.modules import AioModule

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
    rows = (old["text_head.decoder.embed.0.weight"] != new["text_head.decoder.embed.0.weight"]).any(
        1
    )
    assert rows.nonzero()[:, 0].tolist() == [after.vocabulary.start("st")]
    assert {name.rsplit(".", 2)[0] for name in new.keys() - old.keys()} == {
        "backbone", "backbone.blocks.1.feed_forward.router", "text_head.ctc.st"
    }  # fmt: skip


def test_a_task_of_no_seconds_is_not_trained(root, token):
    assert train(
        root, token, "alone", BOTH, "data.seconds.asr=0", "trainer.max_steps=1"
    ).model.tasks == ["st"]


def test_adaptation_takes_one_task(root, token):
    train(root, token, "known", "data.seconds={asr: 1.0}")
    with pytest.raises(AioError, match="adapt teaches one new task; data.seconds names asr, st"):
        train(root, token, "two", BOTH, f"adapt={root / 'known'}")
