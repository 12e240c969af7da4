"""Stage 4 from dump to model: its balance, its routing in the log, its segments, its restarts."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from tiny import AIO_OVERRIDES, CODEC, HOP, SSL_OVERRIDES, named, write_dump
from tiny_training import corpus_in, curve, last_state, logged

from aio_toolkit.answers.audio import CodecUnits
from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.models.cost import Cost
from aio_toolkit.models.size import describe_size, size_of_model
from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask
from aio_toolkit.training.pretrain import PretrainModule, pretrain
from aio_toolkit.training.selection import DevScore

BOTH = "data.seconds={asr: 1.0, st: 1.0}"
LAYER = "block1.feed_forward"
CODES = "model.heads.audio.paths.classes.weight=0.3"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Random data of two text tasks, and an encoder pre-trained on it."""
    root = tmp_path_factory.mktemp("multitask")
    write_dump(root, tasks=("asr", "st"))
    options = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    pretrain_on(root, [*options, "data.seconds={asr: 1.0}"])
    return root


def pretrain_on(root: Path, options: list[str]) -> None:
    config = load_config(PretrainModule.Config, None, options)
    pretrain(config, corpus_in(root), root / "ssl")


def train(root: Path, units: Path, out: str, *more: str):
    """Train to `root/out` and read it back."""
    config = load_config(MultitaskModule.Config, None, [*AIO_OVERRIDES, *more])
    train_multitask(config, corpus_in(root), Folders(root / "ssl", units, root / out))
    return load_aio(root / out / "model.pt")


def balance(kind: str, **options: float) -> str:
    """The balance of a run."""
    values = ", ".join(f"{name}: {value}" for name, value in options.items())
    return f"model.backbone.moe.balance={{kind: {kind}, {kind}: {{{values}}}}}"


NO_NOISE = "model.backbone.moe.router.per_task.noise=0"


def test_routing_and_gradients_are_logged_at_every_step(root, units):
    train(root, units, "logged", BOTH)
    information = curve(root / "logged", f"moe/{LAYER}/mutual_information")
    assert len(information) == 8
    names = {name for row in logged(root / "logged") for name in row}
    figures = {"effective_experts", "dead_experts", "entropy/asr", "entropy/st"}
    assert {f"moe/{LAYER}/{figure}" for figure in figures} <= names
    for task in ("asr", "st"):
        norms = curve(root / "logged", f"grad_norm/{task}")
        assert norms.keys() == information.keys()
        assert all(norm > 0 for norm in norms.values())


def test_a_model_knows_how_long_its_examples_were(root, units):
    model = train(root, units, "lengths", BOTH, "data.segment_seconds=0.01").model
    utterances = corpus_in(root).train.utterances(named("asr", "st"))
    for task, seconds in model.example_seconds.items():
        samples = [u.num_samples for u in utterances if u.task.name == task]
        # Words cannot be cut; nearly the longest tells.
        assert sorted(samples)[-2] / 16000 <= seconds <= max(samples) / 16000


def test_the_bias_moves_once_an_optimizer_step_however_many_micro_batches_it_has(root, units):
    steps = ("trainer.accumulate_grad_batches=3", "trainer.max_steps=1")
    model = train(root, units, "bias", BOTH, balance("bias", rate=0.125), *steps).model
    bias_E = model.backbone.moe_layers()[LAYER].router.bias_E
    assert set(bias_E.tolist()) <= {-0.125, 0.0, 0.125}
    assert bias_E.abs().max() == 0.125


def cost_of_balance(root: Path, units: Path, kind: str, **options: float) -> dict[int, float]:
    """What the total of each step holds besides the losses of the tasks.

    Gates start at zero, so the first step has a closed form: noise changes only who is chosen.
    """
    out = f"cost_{kind}"
    of_kind = balance(kind, weight=8.0, **options)
    train(root, units, out, BOTH, of_kind, "optim.lr=0.05", "trainer.max_steps=4")
    names = ("loss", "asr/loss", "st/loss")
    total, *tasks = (curve(root / out, f"train/{name}") for name in names)
    return {step: total[step] - sum(losses[step] for losses in tasks) for step in total}


@pytest.mark.parametrize(
    ("kind", "options", "cost"),
    [
        ("mutual_information", {}, 0.0),
        # E sum f P is 1 where all P are 1/4, and the squared log-sum-exp is that of four zeros.
        ("switch", {"z_weight": 0.25}, 1.0 + 0.25 * math.log(4) ** 2),
        ("bias", {}, 0.0),
        ("none", {}, 0.0),
    ],
)
def test_a_balance_costs_what_its_definition_says(root, units, kind, options, cost):
    first = cost_of_balance(root, units, kind, **options)[0]
    assert first == pytest.approx(8.0 * cost, abs=1e-4)
    assert curve(root / f"cost_{kind}", "train/balance")[0] == pytest.approx(cost, abs=1e-5)


def test_uneven_importance_and_load_cost_something(root, units):
    assert min(cost_of_balance(root, units, "importance_load").values()) > 1e-3


def test_the_balance_of_mod_squad_is_the_information_that_is_logged(root, units):
    cost = cost_of_balance(root, units, "mutual_information")
    information = curve(root / "cost_mutual_information", f"moe/{LAYER}/mutual_information")
    assert information.keys() == cost.keys()
    assert information[3] > 0.01
    for step, value in information.items():
        assert cost[step] == pytest.approx(-8.0 * value, abs=1e-4)


def test_a_killed_run_ends_bit_equal_to_one_that_was_not(root, units, monkeypatch):
    """Biases are part of the state as well; `test_draws.py` has a balance with a loss."""
    options = (BOTH, balance("bias", rate=0.01), "optim.lr=0.01")
    options += ("trainer.accumulate_grad_batches=2", "trainer.max_steps=4")
    names = ["unharmed", "killed"]
    train(root, units, names[0], *options)
    original = MultitaskModule.training_step

    def dies_in_step_3(self, batch, index):
        if self.global_step == 3:
            raise RuntimeError("killed")
        return original(self, batch, index)

    monkeypatch.setattr(MultitaskModule, "training_step", dies_in_step_3)
    with pytest.raises(RuntimeError):
        train(root, units, names[1], *options)
    monkeypatch.setattr(MultitaskModule, "training_step", original)
    train(root, units, names[1], *options)
    states = [last_state(root / name) for name in names]
    assert states[0]["step"] == 4
    torch.testing.assert_close(*states, atol=0, rtol=0)
    losses = [curve(root / name, "train/loss") for name in names]
    assert losses[0] == losses[1]


def test_a_resumed_run_remembers_the_routing_of_the_step_before(root, units, monkeypatch):
    original, seen = MultitaskModule.on_train_batch_end, []

    def dies_after_the_fifth(self, *arguments):
        original(self, *arguments)
        seen.append(self.pool.previous[LAYER].count_GE.clone())
        if len(seen) == 5:
            raise RuntimeError("killed")

    monkeypatch.setattr(MultitaskModule, "on_train_batch_end", dies_after_the_fifth)
    with pytest.raises(RuntimeError):
        train(root, units, "resumed", BOTH)
    monkeypatch.setattr(MultitaskModule, "on_train_batch_end", original)
    loaded = []

    def remember(self):
        loaded.append(dict(self.pool.previous))

    monkeypatch.setattr(MultitaskModule, "on_train_start", remember, raising=False)
    train(root, units, "resumed", BOTH)
    # The checkpoint is of step 4.
    assert torch.equal(loaded[0][LAYER].count_GE, seen[3])


def test_the_best_weights_are_those_of_the_validation_that_scores_most(root, units, monkeypatch):
    """Nothing is learnt, so that the losses do not tell validations apart."""
    scores = iter([0.0, 2.0, 1.0, -1.0])
    monkeypatch.setattr(DevScore, "close", lambda self: next(scores))
    train(root, units, "best", BOTH, "optim.lr=1.0e-30", "trainer.val_check_interval=2")
    best = torch.load(root / "best" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == 4


def test_a_task_of_no_seconds_is_not_trained(root, units):
    options = (BOTH, "data.seconds.asr=0", "trainer.max_steps=1")
    assert train(root, units, "alone", *options).model.tasks == named("st")


def test_a_finished_run_is_not_done_again(root, units, capsys):
    options = (BOTH, "trainer.max_steps=1")
    train(root, units, "twice", *options)
    before = (root / "twice" / "model.pt").stat().st_mtime_ns
    assert describe_size(load_aio(root / "twice" / "model.pt").model) in capsys.readouterr().out
    train(root, units, "twice", *options)
    assert (root / "twice" / "model.pt").stat().st_mtime_ns == before
    assert "is finished: nothing to do" in capsys.readouterr().out


def test_what_a_training_took_is_kept_beside_its_model(root, units):
    steps = ("trainer.accumulate_grad_batches=2", "trainer.max_steps=3")
    model = train(root, units, "took", BOTH, *steps).model
    cost = Cost.read(root / "took")
    assert (cost.steps, cost.audio_seconds) == (3, 3 * 2 * 2.0)
    assert 0 < cost.seconds < 60
    size = size_of_model(model)
    assert (cost.parameters, cost.active_parameters) == (size.total, size.active)


def test_a_dump_of_another_codec_than_the_encoder_s_is_refused(root, units):
    path = root / "dump" / "train" / "codec.json"
    original = path.read_text()
    path.write_text(original.replace('"0f"', '"aa"'))
    try:
        with pytest.raises(AioError, match="dump.*weights_sha256 is aa, expected 0f"):
            train(root, units, "foreign", BOTH)
    finally:
        path.write_text(original)


@pytest.mark.parametrize("changed", ["units", "encoder"])
def test_units_and_an_encoder_made_anew_are_noticed(root, units, tmp_path, changed):
    own_units, ssl = tmp_path / "units", tmp_path / "ssl"
    shutil.copytree(units, own_units)
    shutil.copytree(root / "ssl", ssl)
    config = load_config(MultitaskModule.Config, None, [*AIO_OVERRIDES, BOTH])
    folders = Folders(ssl, own_units, tmp_path / "exp")
    train_multitask(config, corpus_in(root), folders)
    path = ssl / "model.pt" if changed == "encoder" else own_units / "text" / "tokens.txt"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(AioError, match=f"exp was begun before {path} changed"):
        train_multitask(config, corpus_in(root), folders)


def test_task_weights_scale_the_losses_that_they_name(root, units):
    options = (BOTH, balance("none"), NO_NOISE, "task_weights={st: 4.0}", "trainer.max_steps=1")
    train(root, units, "weighted", *options)
    names = ("loss", "asr/loss", "st/loss")
    total, asr, st = (curve(root / "weighted", f"train/{name}")[0] for name in names)
    assert total == pytest.approx(asr + 4.0 * st, rel=1e-5)


def test_a_weight_of_an_unknown_task_is_told_before_anything_is_read(tmp_path):
    with pytest.raises(AioError, match="unknown task 'asrr'"):
        train(tmp_path / "nowhere", tmp_path, "out", BOTH, "task_weights={asrr: 4.0}")


def test_segments_are_cut_in_training_and_not_in_validation(tmp_path, monkeypatch):
    """Codes of silence and vectors come from the units; 0.2 s are ten frames."""
    write_dump(tmp_path, tasks=("sound",))
    silence_Q = torch.tensor([3, 8])
    of_codec = CodecUnits(CODEC, torch.randn(2, 9, 4), silence_Q)
    (tmp_path / "units" / "audio").mkdir(parents=True)
    torch.save(of_codec.state(), tmp_path / "units" / "audio" / "codec.pt")
    batches = {"training_step": [], "validation_step": []}
    for name, seen in batches.items():
        original = getattr(MultitaskModule, name)

        def spy(self, batch, index, original=original, seen=seen):
            seen.append(batch)
            return original(self, batch, index)

        monkeypatch.setattr(MultitaskModule, name, spy)
    seconds = "data.seconds={sound: 1.0}"
    options = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    short = ("trainer.max_steps=2", "trainer.val_check_interval=2")
    pretrain_on(tmp_path, [*options, seconds, *short])
    train(tmp_path, tmp_path / "units", "exp", seconds, *short, "data.segment_seconds=0.2", CODES)
    trained = batches["training_step"]
    assert {length for batch in trained for length in batch.samples_B.tolist()} == {10 * HOP}
    assert {batch.wave_BS.shape[1] for batch in trained} == {16 * HOP}  # few sizes, few kernels
    assert min(batch.samples_B.min() for batch in batches["validation_step"]) > 19 * HOP
    for batch in (*batches["training_step"], *batches["validation_step"]):
        # The third sound is not there.
        assert batch.targets["sound"].wave_BNS[:, 2].abs().max() == 0
        of_third_BTQ = batch.targets["sound"].codes_BNTQ[:, 2]
        for row, samples in zip(of_third_BTQ, batch.samples_B.tolist(), strict=True):
            length = -(-samples // HOP)
            assert torch.equal(row[:length], silence_Q.expand(length, 2))


def test_routers_take_part_in_training(root, units):
    """Gates, which start at zero, have moved."""
    model = train(root, units, "moved", BOTH, "trainer.max_steps=2", "optim.lr=0.05").model
    gates = list(model.backbone.moe_layers()[LAYER].router.gates_DE)
    assert all(gate_DE.abs().max() > 0 for gate_DE in gates)
