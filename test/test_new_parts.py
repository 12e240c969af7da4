"""New parts, a file each, train and score by the stages' own functions."""

from pathlib import Path

import pytest
import torch
from foreign import in_use
from tiny import AIO_OVERRIDES, SSL_OVERRIDES, TASKS_YAML, write_dump
from tiny_training import curve

from aio_toolkit.answers.fit import UnitsFit, fit_units
from aio_toolkit.codec.base import load_codec
from aio_toolkit.config import load_config
from aio_toolkit.decoding.run import BatchDecoder, DecodeRun, decode_data_dir
from aio_toolkit.dump.split import Corpus
from aio_toolkit.models.checkpoint import load_aio, load_ssl
from aio_toolkit.scoring.results import Results
from aio_toolkit.scoring.run import ScoreRun, score_decode_dir
from aio_toolkit.tasks import load_tasks
from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask
from aio_toolkit.training.pretrain import PretrainModule, pretrain

TASKS = f"""
base: {TASKS_YAML}
parts: [newcomers]
tasks:
  asr: {{metrics: [exact, wer]}}
"""
SHORT = ["trainer.max_steps=2", "trainer.val_check_interval=2", "data.seconds={asr: 1, sep: 1}"]
STAGE_3 = [
    *[option for option in SSL_OVERRIDES if option.split(".")[0] in ("optim", "trainer")],
    "model.encoder={kind: pooled, pooled: {width: 16, num_layers: 2, share: 0.25}}",
    "model.objective={kind: reconstruction, reconstruction: {power: 2.0}}",
    "model.front_end={parts: [energy], options: {energy: {pieces: 4}}}",
    "model.targets=[energy]",
    *SHORT,
]
STAGE_4 = [
    *AIO_OVERRIDES,
    "model.backbone.moe.router={kind: hashed, hashed: {scale: 2.0}}",
    "model.backbone.moe.balance={kind: concentration, concentration: {weight: 0.5, power: 3.0}}",
    "model.backbone.moe.feed_forward.experts={kind: scales, scales: {start: 0.5}}",
    "model.heads.audio.permutation_by=regression",
    "model.heads.audio.paths={mask: {weight: 0}, classes: {weight: 1.0}}",
    "model.heads.audio.paths.regression={weight: 2.0, bias: false}",
    "data.mixing.sep={kind: echo, echo: {sources: ['train:asr'], share: 0.3, delay: 70}}",
    *SHORT,
]
LAYER = "block1.feed_forward"


@pytest.fixture(scope="module")
def newcomers():
    with in_use("newcomers"):
        yield


@pytest.fixture(scope="module")
def codec(newcomers, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    (folder / "architecture.yaml").write_text("kind: steps\nnum_steps: 6\n")
    return folder


@pytest.fixture(scope="module")
def corpus(codec, tmp_path_factory) -> Corpus:
    """Two tasks, of which one is scored by a new metric, in the codes of a new codec."""
    root = tmp_path_factory.mktemp("corpus")
    (root / "tasks.yaml").write_text(TASKS)
    tasks = load_tasks(root / "tasks.yaml")
    fingerprint = load_codec(codec).fingerprint
    folders = write_dump(root, num=4, known=tasks, codec=fingerprint)
    return Corpus(*folders, tasks)


@pytest.fixture(scope="module")
def trained(corpus, codec, tmp_path_factory) -> Path:
    """Stages 2 to 4; the experiment folder."""
    root = tmp_path_factory.mktemp("exp")
    options = [f"units.audio.codec={codec}", "units.text.vocab_size=18"]
    fit_units(
        load_config(UnitsFit.Config, None, options), corpus.train.data, corpus.tasks, root / "units"
    )
    pretrain(load_config(PretrainModule.Config, None, STAGE_3), corpus, root / "ssl")
    train_to(root / "aio", root, corpus, STAGE_4)
    return root


def train_to(out: Path, root: Path, corpus: Corpus, options: list[str]) -> None:
    config = load_config(MultitaskModule.Config, None, options)
    train_multitask(config, corpus, Folders(root / "ssl", root / "units", out))


def answer(config, trained: Path, corpus: Corpus, folder: Path, names: list[str]) -> Results:
    """Stages 5 and 6 on dev."""
    data, out = corpus.dev.data, folder / "decode"
    run = DecodeRun(data, out, known=corpus.tasks, names=names)
    decode_data_dir(config, trained / "aio", run)
    return score_decode_dir(ScoreRun(data, out, corpus.tasks, names))


def module_of(part: object) -> str:
    return type(part).__module__


def test_a_new_encoder_and_objective_pre_train(trained):
    encoder = load_ssl(trained / "ssl" / "model.pt").encoder
    assert module_of(encoder.encoder) == "newcomers.encoders.pooled"
    assert (encoder.encoder.share, encoder.encoder.num_layers) == (0.25, 2)
    assert module_of(encoder.front_end.parts["energy"]) == "newcomers.frontend.energy"
    assert encoder.front_end.num_features == 4
    errors = curve(trained / "ssl", "train/error")
    assert len(errors) == 2


def test_new_router_experts_balance_and_path_train(trained):
    loaded = load_aio(trained / "aio" / "model.pt")
    layer = loaded.model.backbone.moe_layers()[LAYER]
    assert module_of(layer.router) == "newcomers.moe.routers.hashed"
    assert module_of(layer.experts) == "newcomers.moe.experts.scales"
    assert list(loaded.model.heads["audio"].paths) == ["classes", "regression"]
    assert loaded.model.heads["audio"].paths["regression"].linear.bias is None
    assert len(curve(trained / "aio", "train/sep/loss")) == 2


def test_experts_move_and_the_fixed_directions_of_the_router_stay(trained, corpus, tmp_path):
    before = load_aio(trained / "aio" / "model.pt").model.backbone.moe_layers()[LAYER]
    longer = [*STAGE_4, "trainer.max_steps=4", "trainer.val_check_interval=4"]
    train_to(tmp_path / "aio", trained, corpus, longer)
    after = load_aio(tmp_path / "aio" / "model.pt").model.backbone.moe_layers()[LAYER]
    assert torch.equal(before.router.directions_DE, after.router.directions_DE)
    assert not torch.equal(before.experts.scale_ED, after.experts.scale_ED)


def test_the_balance_reads_the_column_that_it_asks_for(trained):
    """The sum of cubed shares of four experts lies between 1/16 and 1; it is 0 of nothing."""
    costs = curve(trained / "aio", "train/balance")
    assert len(costs) == 2
    assert all(1 / 16 <= cost <= 1 for cost in costs.values())


def test_a_new_metric_scores_beside_another(trained, corpus, tmp_path):
    config = load_config(BatchDecoder.Config, None, ["decoders.text.beam_size=1"])
    results = answer(config, trained, corpus, tmp_path, ["asr"])
    (of_asr,) = results.tasks
    values = {score.metric: score.interval.value for score in of_asr.scores}
    # Two steps teach nobody to read.
    assert values.keys() == {"exact", "wer"}
    assert values["exact"] == 0.0


def test_a_new_path_s_mode_is_decoded_by_a_new_codec(trained, corpus, codec, tmp_path):
    options = [f"decoders.audio.codec={codec}", "decoders.audio.mode=regression"]
    config = load_config(BatchDecoder.Config, None, options)
    results = answer(config, trained, corpus, tmp_path, ["sep"])
    assert results.tasks[0].num_utterances == 4
    found = {path.name for path in (tmp_path / "decode" / "sep" / "codec").rglob("*.scp")}
    assert found == {"spk1.scp", "spk2.scp"}
