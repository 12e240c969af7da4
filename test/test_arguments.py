"""Arguments that commands share, parsed from command lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ALL

from aio_toolkit import parts
from aio_toolkit.arguments import (
    add_config,
    add_corpus,
    add_folders,
    add_split,
    add_tasks,
    command_parser,
    corpus_of,
    parse,
    split_of,
)
from aio_toolkit.dump.split import Corpus, Split
from aio_toolkit.errors import AioError

ROOT = Path(__file__).parents[1]
TASKS_CONFIG = ["--tasks_config", str(ROOT / "egs/TEMPLATE/conf/tasks.yaml")]


def test_help_shows_defaults(capsys):
    parser = command_parser("Probe an encoder.")
    parser.add_argument("--steps", type=int, default=300, help="optimizer steps")
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "Probe an encoder." in shown
    assert "optimizer steps (default: 300)" in shown


def test_nothing_slow_is_imported():
    code = "import sys, aio_toolkit.arguments; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not {"torch", "numpy", "omegaconf"} & set(done.stdout.split())


# --- parts ---


def test_packages_of_parts_are_in_use_once_the_line_is_parsed(monkeypatch):
    used = []
    monkeypatch.setattr(parts, "use", used.extend)
    monkeypatch.setattr(sys, "argv", ["decode", "--parts", "first", "second"])
    assert parse(command_parser("Decode.")).parts == used == ["first", "second"]


def test_a_package_of_parts_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["decode", "--parts", "nowhere_to_be_found"])
    with pytest.raises(AioError, match="no package 'nowhere_to_be_found'"):
        parse(command_parser("Decode."))


# --- configurations ---


@pytest.mark.parametrize(
    ("line", "config", "overrides"),
    [
        ([], None, []),
        (["--config", "a.yaml"], Path("a.yaml"), []),
        (["--set", "a.b=1", "c=[2, 3]"], None, ["a.b=1", "c=[2, 3]"]),
        (["--set"], None, []),
    ],
)
def test_a_configuration_is_a_file_and_what_wins_over_it(line, config, overrides):
    parser = command_parser("Extract.")
    add_config(parser, "conf/extract.yaml", required=False)
    args = parser.parse_args(line)
    assert (args.config, args.set) == (config, overrides)


def test_a_configuration_may_be_required(capsys):
    parser = command_parser("Train.")
    add_config(parser, "conf/train_aio.yaml")
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert "--config" in capsys.readouterr().err


def test_tasks_are_those_of_the_recipe_that_a_command_runs_in():
    parser = command_parser("Score.")
    add_tasks(parser)
    assert parser.parse_args([]).tasks_config == Path("conf/tasks.yaml")


# --- corpora and splits ---


def corpus_from(*line: str) -> Corpus:
    parser = command_parser("Train.")
    add_corpus(parser)
    return corpus_of(parser.parse_args([*TASKS_CONFIG, *line]))


def test_a_corpus_is_where_a_recipe_puts_it():
    assert corpus_from() == Corpus(Path("data"), Path("dump"), ALL, "train", "dev")


def test_folders_and_splits_of_a_corpus_can_be_named():
    line = ["--data", "d", "--dump", "e", "--train_set", "small", "--dev_set", "valid"]
    corpus = corpus_from(*line)
    assert corpus == Corpus(Path("d"), Path("e"), ALL, "small", "valid")


def test_who_validates_on_nothing_is_not_asked_for_a_split_to_do_so():
    parser = command_parser("Probe.")
    add_folders(parser)
    args = parser.parse_args(["--train_set", "small"])
    assert args.train_set == "small"
    assert not hasattr(args, "dev_set")


def test_a_file_of_tasks_that_is_not_there_is_named():
    with pytest.raises(AioError, match="nowhere.yaml does not exist"):
        corpus_from("--tasks_config", "nowhere.yaml")


def test_a_split_is_a_data_dir_and_its_dump():
    parser = command_parser("Decode.")
    add_split(parser, "to decode")
    args = parser.parse_args(["--data", "data/test", "--dump", "dump/test", *TASKS_CONFIG])
    assert split_of(args) == Split(Path("data/test"), Path("dump/test"), ALL)


@pytest.mark.parametrize("line", [["--data", "data/test"], ["--dump", "dump/test"]])
def test_neither_data_dir_nor_dump_can_be_guessed(line, capsys):
    parser = command_parser("Decode.")
    add_split(parser, "to decode")
    with pytest.raises(SystemExit):
        parser.parse_args(line)
    assert "required" in capsys.readouterr().err
