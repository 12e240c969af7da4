"""Adaptation from a trained model to one that knows one more task, and nothing else anew."""

from pathlib import Path

import pytest
import torch
from tiny import AIO_OVERRIDES, SSL_OVERRIDES, named, write_dump
from tiny_training import corpus_in

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.training.adapt import Adaptation, adapt
from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask
from aio_toolkit.training.pretrain import PretrainModule, pretrain

OF_RUN = [option for option in SSL_OVERRIDES if option.split(".")[0] in ("optim", "trainer")]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Random data of two text tasks, and an encoder pre-trained on it."""
    root = tmp_path_factory.mktemp("adapt")
    write_dump(root, tasks=("asr", "st"))
    options = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    seconds = "data.seconds={asr: 1.0}"
    config = load_config(PretrainModule.Config, None, [*options, seconds, "trainer.max_steps=2"])
    pretrain(config, corpus_in(root), root / "ssl")
    return root


@pytest.fixture(scope="module")
def known(root, units) -> Path:
    """A model that knows asr."""
    config = load_config(MultitaskModule.Config, None, [*AIO_OVERRIDES, "data.seconds={asr: 1.0}"])
    train_multitask(config, corpus_in(root), Folders(root / "ssl", units, root / "known"))
    return root / "known"


def teach(root: Path, known: Path, units: Path, out: str, *more: str):
    """Adapt the model to `root/out` and read it back."""
    options = [f"trained={known}", "data.seconds={st: 1.0}", *OF_RUN, *more]
    adapt(load_config(Adaptation.Config, None, options), corpus_in(root), units, root / out)
    return load_aio(root / out / "model.pt")


def test_a_new_task_leaves_everything_else_bit_equal(root, known, units, vocabulary):
    before = load_aio(known / "model.pt").model
    after = teach(root, known, units, "adapted").model
    assert after.tasks == named("asr", "st")
    old, new = before.state_dict(), after.state_dict()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    start = "heads.text.decoder.embed.0.weight"
    assert moved == {start}
    rows = (old[start] != new[start]).any(1)
    assert rows.nonzero()[:, 0].tolist() == [vocabulary.start("st")]
    assert {name.rsplit(".", 2)[0] for name in new.keys() - old.keys()} == {
        "backbone", "backbone.blocks.1.feed_forward.router", "heads.text.ctc.st"
    }  # fmt: skip


def test_what_is_new_has_been_trained(root, known, units):
    options = ("trainer.max_steps=2", "optim.lr=0.05")
    after = teach(root, known, units, "trained", *options).model
    gates = after.backbone.moe_layers()["block1.feed_forward"].router.gates_DE
    # A new gate starts at zero.
    assert gates[1].abs().max() > 0


def test_a_finished_adaptation_is_not_done_again(root, known, units, capsys):
    teach(root, known, units, "twice", "trainer.max_steps=1")
    before = (root / "twice" / "model.pt").stat().st_mtime_ns
    teach(root, known, units, "twice", "trainer.max_steps=1")
    assert (root / "twice" / "model.pt").stat().st_mtime_ns == before
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["{asr: 1.0, st: 1.0}", "{st: 1.0, sep: 1.0}"])
def test_adaptation_takes_one_task(root, known, units, seconds):
    message = "an adaptation teaches one new task; data.seconds names"
    with pytest.raises(AioError, match=message):
        teach(root, known, units, "two", f"data.seconds={seconds}")


def test_a_task_that_the_model_knows_is_refused(root, known, units):
    options = ("data.seconds.st=0", "data.seconds.asr=1.0")
    with pytest.raises(AioError, match="the model knows task 'asr' already"):
        teach(root, known, units, "again", *options)


def test_a_model_that_is_not_there_is_named(root, units):
    with pytest.raises(AioError, match="nowhere/model.pt does not exist. Run the stage"):
        teach(root, root / "nowhere", units, "none")


def test_the_model_to_adapt_must_be_named():
    with pytest.raises(AioError, match="key 'trained' has no value and needs one"):
        load_config(Adaptation.Config, None, ["data.seconds={st: 1.0}"])
