"""A third kind of answer, from a package of its own, on the whole way from data to scores.

`test/packages/tagging` has five files: the kind itself, its head, decoder, scorer and metric.
"""

from pathlib import Path

import pytest
import torch
from foreign import in_use
from tiny import AIO_OVERRIDES, SSL_OVERRIDES, TASKS_YAML, write_dump
from tiny_training import curve

from aio_toolkit import parts
from aio_toolkit.answers.fit import UnitsFit, fit_units
from aio_toolkit.config import load_config
from aio_toolkit.decoding.run import BatchDecoder, DecodeRun, decode_data_dir
from aio_toolkit.dump.split import Corpus
from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import load_aio
from aio_toolkit.scoring.run import ScoreRun, score_decode_dir
from aio_toolkit.tasks import Task, load_tasks
from aio_toolkit.training.multitask import Folders, MultitaskModule, train_multitask
from aio_toolkit.training.pretrain import PretrainModule, pretrain

TASKS = f"""
base: {TASKS_YAML}
parts: [tagging]
tasks:
  tag:
    title: audio tagging
    output: tags
    targets: [tags]
    metrics: [f1]
"""
SECONDS = "data.seconds={asr: 1.0, tag: 1.0}"
SHORT = ["trainer.max_steps=2", "trainer.val_check_interval=2"]


@pytest.fixture(scope="module")
def tagging():
    """The package is in use, as by `--parts tagging`."""
    with in_use("tagging"):
        yield


@pytest.fixture(scope="module")
def tasks(tagging, tmp_path_factory) -> dict[str, Task]:
    path = tmp_path_factory.mktemp("conf") / "tasks.yaml"
    path.write_text(TASKS)
    return load_tasks(path)


@pytest.fixture(scope="module")
def corpus(tasks, tmp_path_factory) -> Corpus:
    """Data dirs and dumps of recognition and tagging."""
    root = tmp_path_factory.mktemp("corpus")
    folders = write_dump(root, num=3, tasks=("asr", "tag"), known=tasks)
    return Corpus(*folders, tasks)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory) -> Path:
    """Stages 2 to 4; the experiment folder."""
    root = tmp_path_factory.mktemp("exp")
    options = load_config(UnitsFit.Config, None, ["units.text.vocab_size=18"])
    fit_units(options, corpus.train.data, corpus.tasks, root / "units")

    stage_3 = [option for option in SSL_OVERRIDES if not option.startswith("data")]
    config = load_config(PretrainModule.Config, None, [*stage_3, SECONDS, *SHORT])
    pretrain(config, corpus, root / "ssl")

    options = [*AIO_OVERRIDES, SECONDS, *SHORT, "model.heads.tags.positive_weight=3.0"]
    config = load_config(MultitaskModule.Config, None, options)
    train_multitask(config, corpus, Folders(root / "ssl", root / "units", root / "aio"))
    return root


def test_the_kind_is_found_in_its_package(tagging):
    assert "tags" in parts.kinds("answers")
    for folder in ("answers", "heads", "decoding", "scoring"):
        assert parts.find_in(folder, "tags").__module__ == f"tagging.{folder}.tags"


def test_a_task_of_the_kind_stands_beside_the_others(tasks):
    assert list(tasks)[-1] == "tag"
    tag = tasks["tag"]
    assert (tag.output, tag.targets, tag.metrics) == ("tags", ("tags",), ("f1",))
    assert type(tag.kind).__name__ == "Tags"


def test_what_the_kind_says_of_a_task_is_heard(tagging, tmp_path):
    path = tmp_path / "tasks.yaml"
    path.write_text(TASKS.replace("targets: [tags]", "targets: [labels]"))
    with pytest.raises(AioError, match="task 'tag': a tagging task has the target 'tags'"):
        load_tasks(path)


def test_units_of_every_kind_are_fitted(trained):
    assert {path.name for path in (trained / "units").iterdir()} == {"text", "tags"}


def test_its_head_learns_beside_the_others(trained):
    model = load_aio(trained / "aio" / "model.pt").model
    assert list(model.heads) == ["text", "tags"]
    assert model.heads["tags"].linear.out_features == 2
    assert model.heads["tags"].positive_weight == 3.0
    for name in ("train/tag/loss", "val/tag/loss", "grad_norm/tag"):
        assert curve(trained / "aio", name)


def test_the_model_comes_back_from_its_checkpoint_with_its_units(trained):
    model = load_aio(trained / "aio" / "model.pt").model
    assert [task.name for task in model.tasks] == ["asr", "tag"]
    assert model.units["tags"].tags == ("bark", "dog")
    content = torch.load(trained / "aio" / "model.pt", weights_only=True)
    assert content["config"]["heads"].keys() == {"text", "tags"}


def test_without_the_package_the_missing_kind_is_named(trained, monkeypatch):
    monkeypatch.setattr(parts, "_packages", ["aio_toolkit"])
    parts.use([])
    try:
        with pytest.raises(
            AioError, match="task 'tag': key 'output': answers: unknown kind 'tags'"
        ):
            load_aio(trained / "aio" / "model.pt")
    finally:
        monkeypatch.undo()
        parts.use([])


def test_its_answers_are_decoded_and_scored(trained, corpus, tmp_path):
    config = load_config(BatchDecoder.Config, None, ["decoders.text.beam_size=1"])
    data, out = corpus.dev.data, tmp_path / "decode"
    decode_data_dir(config, trained / "aio", DecodeRun(data, out, corpus.tasks))
    results = score_decode_dir(ScoreRun(data, out, corpus.tasks))
    (of_tag,) = [task for task in results.tasks if task.name == "tag"]
    answers = corpus.tasks["tag"].kind.load(tmp_path / "decode" / "tag", tagged(corpus))
    given = sum(len(answer) for answer in answers)
    # All answers are true: there are two tags, and both hold for every utterance.
    want = 200 * given / (given + 2 * len(answers))
    (score,) = of_tag.scores
    assert (score.metric, score.interval.value) == ("f1", pytest.approx(want))


def tagged(corpus: Corpus) -> list:
    return [u for u in corpus.dev.utterances([corpus.tasks["tag"]]) if u.task.name == "tag"]


def test_a_decoding_threshold_is_an_option_like_any_other(trained, corpus, tmp_path):
    config = load_config(BatchDecoder.Config, None, ["decoders.tags.threshold=0.0"])
    data, out = corpus.dev.data, tmp_path / "decode"
    decode_data_dir(config, trained / "aio", DecodeRun(data, out, corpus.tasks, names=["tag"]))
    results = score_decode_dir(ScoreRun(data, out, corpus.tasks, ["tag"]))
    # Everything is given, everything is true.
    assert results.tasks[0].scores[0].interval.value == pytest.approx(100.0)
