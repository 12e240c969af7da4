"""The scripts around the stages: options, help, and what is said when inputs are not there."""

import argparse
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("tools", "utils", "egs", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
    and not {"venv", "corpus", "data", "dump", "exp"} & set(path.relative_to(ROOT).parts)
    and (path.suffix == ".sh" or path.name == "run")
)
COMMANDS = sorted(path.stem for path in (ROOT / "aio_toolkit/bin").glob("[!_]*.py"))


def bash(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_script_parses(path: Path) -> None:
    result = bash("-n", path)
    assert result.returncode == 0, result.stderr


# parse_options.sh


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script with options, which prints what it got."""
    path = tmp_path / "script.sh"
    path.write_text(
        "set -euo pipefail\n"
        "data_dir=data\nnj=4\nverbose=false\nempty=\n"
        'help_message="Usage: script.sh [--nj 4]"\n'
        f". {ROOT}/utils/parse_options.sh\n"
        'echo "$data_dir|$nj|$verbose|$empty|$*"\n',
        encoding="utf-8",
    )
    return path


def test_defaults_stay_without_options(script: Path) -> None:
    assert bash(script).stdout == "data|4|false||\n"


def test_options_set_existing_variables_and_positional_arguments_remain(script: Path) -> None:
    result = bash(
        script,
        "--data-dir",
        "a b",
        "--nj",
        "8",
        "--verbose",
        "true",
        "--empty",
        "x=1 y=$2",
        "in",
        "out",
    )
    assert result.stdout == "a b|8|true|x=1 y=$2|in out\n"


def test_the_last_of_two_values_wins(script: Path) -> None:
    assert bash(script, "--nj", "1", "--nj", "2").stdout == "data|2|false||\n"


def test_a_double_dash_ends_the_options(script: Path) -> None:
    assert bash(script, "--", "--nj").stdout == "data|4|false||--nj\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--njobs", "8"), "unknown option --njobs. --help"),
        (("--datadir", "x"), "unknown option --datadir. Did you mean --data_dir? --help"),
        (("--verbsoe", "x"), "unknown option --verbsoe. Did you mean --verbose? --help"),
        (("--' '*;$(x)", "x"), "unknown option --' '*;$(x). --help"),
        (("--PATH", "x"), "unknown option --PATH"),
        (("--nj=8",), "unknown option --nj=8"),
        (("--nj",), "option --nj needs a value"),
        (("--verbose", "yes"), "option --verbose is true or false, not 'yes'"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(
    script: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = bash(script, *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_help_prints_the_message(script: Path) -> None:
    result = bash(script, "--help")
    assert (result.returncode, result.stdout) == (0, "Usage: script.sh [--nj 4]\n")


# aio.sh


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A corpus folder beside the template; its Python only says what it was asked to run."""
    for folder in ("egs/TEMPLATE", "utils"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    venv = tmp_path / "tools/venv"
    (venv / "bin").mkdir(parents=True)
    (venv / ".installed").touch()
    python = venv / "bin/python"
    python.write_text(
        '#!/bin/bash\n[ -z "${FAIL:-}" ] || exit 3\necho "ran $*"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    corpus = tmp_path / "egs/corpus"
    (corpus / "local").mkdir(parents=True)
    (corpus / "path.sh").write_text(". ../TEMPLATE/path.sh\n", encoding="utf-8")
    data = corpus / "local/data.sh"
    data.write_text('#!/bin/bash\necho "data.sh $*"\n', encoding="utf-8")
    data.chmod(0o755)
    return corpus


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def aio(recipe: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "../TEMPLATE/aio.sh", *options]
    environment = os.environ | variables
    return subprocess.run(
        command, cwd=recipe, env=environment, capture_output=True, text=True, timeout=60
    )


def ran(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The Python commands of a run, without the module's package."""
    return re.findall(r"^ran -m aio_toolkit\.bin\.(.*)$", result.stdout, flags=re.MULTILINE)


def test_the_demo_shows_its_own_constants_as_help() -> None:
    result = bash(ROOT / "egs/mini_aio/run.sh", "--help")
    assert result.returncode == 0
    assert re.search(r"--stage +first stage to run.*\(1\)", result.stdout)
    assert re.search(r"--nj .*\(2\)", result.stdout)
    assert "--current" not in result.stdout


@pytest.mark.parametrize("recipe", ["mini_aio", "librispeech_wsj0mix"])
def test_a_recipe_finds_itself_whatever_cdpath_says_and_through_a_link(
    recipe: str, tmp_path: Path
) -> None:
    """CDPATH names folders in which `cd` looks first, here one of another checkout."""
    other = tmp_path / "egs" / recipe
    other.mkdir(parents=True)
    link = tmp_path / "run.sh"
    link.symlink_to(ROOT / "egs" / recipe / "run.sh")
    for command in (f"egs/{recipe}/run.sh", str(link)):
        result = subprocess.run(
            ["bash", command, "--help"],
            cwd=ROOT,
            env={**os.environ, "CDPATH": f"{tmp_path}:."},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        assert "--stop_stage" in result.stdout


def test_an_unknown_option_of_a_recipe_is_an_error() -> None:
    result = bash(ROOT / "egs/mini_aio/run.sh", "--train_confg", "x")
    assert result.returncode == 1
    assert "unknown option --train_confg. Did you mean --train_config?" in result.stderr


def test_commands_in_lists_are_on_or_off(recipe: Path) -> None:
    result = aio(recipe, "--pipes", "maybe")
    assert result.returncode == 1
    assert result.stderr == "error: option --pipes is on or off, not 'maybe'.\n"
    (recipe / "local/data.sh").write_text('#!/bin/bash\necho "pipes are $AIO_PIPES"\n')
    for value in ("on", "off"):
        told = aio(recipe, "--pipes", value, "--stop_stage", "1").stdout
        assert f"pipes are {value}" in told


@pytest.mark.parametrize(
    ("stage", "missing", "maker"),
    [
        (2, "data/train/wav.scp", 1),
        (3, "dump/train/codec.json", 2),
        (4, "dump/train/codec.json", 2),
        (5, "exp/train_aio/model.pt", 4),
        (6, "exp/train_aio/decode_test", 5),
        (7, "exp/train_aio/model.pt", 4),
        (8, "exp/train_aio/model.pt", 4),
    ],
)
def test_a_stage_without_inputs_names_the_file_and_its_stage(
    recipe: Path, stage: int, missing: str, maker: int
) -> None:
    result = aio(recipe, "--stage", str(stage), "--stop_stage", str(stage))
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: stage {stage} needs {missing}")
    assert f"which stage {maker} makes" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_environment_is_said(recipe: Path) -> None:
    (recipe / "../../tools/venv/.installed").unlink()
    result = aio(recipe)
    assert result.returncode == 1
    assert "make -C" in result.stderr
    assert result.stderr.count("\n") == 1


def test_stage_1_passes_its_options_on_and_validates(recipe: Path) -> None:
    result = aio(recipe, "--stop_stage", "1", "--local_data_opts", "--size 3")
    assert result.returncode == 0, result.stderr
    assert "data.sh --fs 16000 --data data --size 3" in result.stdout
    assert ran(result) == [
        "validate_data_dir data/train data/dev data/test --tasks_config conf/tasks.yaml "
        "--sample_rate 16000"
    ]
    assert re.search(r"stage 1: done in 0 min \d s", result.stdout)
    assert "data.sh --fs 16000 --data data --size 3" in (recipe / "exp/data.log").read_text(
        encoding="utf-8"
    )


def test_data_dirs_are_validated_from_a_fresh_shell(recipe: Path) -> None:
    """Where there is no `python`, the environment of the toolkit is found all the same."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = ["bash", "../../utils/validate_data_dir.sh", "data/train"]
    result = subprocess.run(
        command, cwd=recipe, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran(result) == ["validate_data_dir data/train"], result.stderr


def test_stage_2_trains_a_codec_only_when_none_is_given(recipe: Path) -> None:
    touch(*(recipe / f"data/{split}/wav.scp" for split in ("train", "dev", "test")))
    stage_2 = ("--stage", "2", "--stop_stage", "2")
    trained = ran(aio(recipe, *stage_2))
    assert [command.split()[0] for command in trained] == [
        "train_codec",
        *["encode_data"] * 2,
        "fit_units",
    ]
    assert "trainer.accelerator=cpu" in trained[0]
    given = ran(aio(recipe, *stage_2, "--codec", "/models/dac"))
    assert [command.split()[0] for command in given] == [*["encode_data"] * 2, "fit_units"]
    assert "--codec /models/dac" in given[0]


def test_codes_of_another_codec_have_a_folder_of_their_own(recipe: Path) -> None:
    touch(*(recipe / f"data/{split}/wav.scp" for split in ("train", "dev", "test")))
    touch(*(recipe / f"d2/{split}/codec.json" for split in ("train", "dev")))
    touch(
        recipe / "d2/units/text/bpe.model",
        recipe / "e2/train_ssl/model.pt",
        recipe / "e2/train_aio/model.pt",
    )
    touch(recipe / "e2/train_aio/decode_test/decode.json")
    result = aio(recipe, "--stage", "2", "--codec", "c", "--dumpdir", "d2", "--expdir", "e2")
    assert result.returncode == 0, result.stderr
    paths = re.findall(r"--(?:out|dump|ssl|units|model|decode) (\S+)", " ".join(ran(result)))
    assert paths and all(path.split("/")[0] in ("d2", "e2") for path in paths)


def test_changed_arguments_get_a_folder_of_their_own(recipe: Path) -> None:
    touch(*(recipe / f"dump/{split}/codec.json" for split in ("train", "dev")))
    touch(recipe / "dump/units/text/bpe.model", recipe / "exp/train_ssl/model.pt")
    stage_4 = ("--stage", "4", "--stop_stage", "4", "--codec", "c")
    plain, changed, seeded, named = (
        ran(aio(recipe, *stage_4, *options))[0]
        for options in (
            (),
            ("--train_args", "model.width=32 optim.lr=1e-3"),
            ("--seed", "7"),
            ("--train_args", "optim.lr=1", "--tag", "mine"),
        )
    )
    assert "--out exp/train_aio --set trainer.accelerator=cpu" in plain
    assert "--out exp/train_aio_model.width32_optim.lr1e-3 " in changed
    assert changed.endswith("model.width=32 optim.lr=1e-3")
    assert "--out exp/train_aio_seed7 " in seeded
    assert "--out exp/mine " in named


def test_many_changed_arguments_are_told_apart_in_a_name_that_file_systems_take(
    recipe: Path,
) -> None:
    touch(*(recipe / f"dump/{split}/codec.json" for split in ("train", "dev")))
    many = " ".join(f"model.encoder.transformer.option_{number}=1" for number in range(20))
    commands = [
        ran(aio(recipe, "--stage", "3", "--stop_stage", "3", "--ssl_args", f"{many} seed={seed}"))
        for seed in (1, 2, 1)
    ]
    names = [re.search(r"--out exp/(\S+)", command)[1] for (command,) in commands]
    assert names[0] == names[2] != names[1]
    assert names[0].startswith("train_ssl_model.encoder.transformer.option_01_")
    assert all(len(name) < 150 for name in names)


def test_an_adaptation_takes_the_place_of_a_training(recipe: Path) -> None:
    touch(*(recipe / f"dump/{split}/codec.json" for split in ("train", "dev")))
    touch(recipe / "dump/units/text/bpe.model", recipe / "exp/train_ssl/model.pt")
    options = ("--stage", "4", "--stop_stage", "4", "--adapt_config", "conf/adapt_enh.yaml")
    (command,) = ran(aio(recipe, *options))
    assert command.startswith("adapt --config conf/adapt_enh.yaml ")
    assert "--out exp/adapt_enh " in command and "--ssl" not in command


def test_the_rate_is_told_once_and_known_everywhere(recipe: Path) -> None:
    touch(*(recipe / f"data/{split}/wav.scp" for split in ("train", "dev", "test")))
    result = aio(recipe, "--stop_stage", "2", "--fs", "8000")
    assert "data.sh --fs 8000" in result.stdout
    validate, codec, *encode, _ = ran(result)
    assert validate.endswith("--sample_rate 8000")
    assert "model.sample_rate=8000" in codec
    assert all("--fs 8000" in command for command in encode)


def test_a_setting_stands_for_its_options_and_what_comes_after_it_wins(recipe: Path) -> None:
    (recipe / "conf").mkdir()
    (recipe / "conf/big.opts").write_text(
        "# a large run\n\n--fs 44100\n--datadir d2\n--local_data_opts --config conf/b.yaml --n 3\n"
    )
    stage_1 = ("--stop_stage", "1", "--fs", "8000")
    plain = aio(recipe, *stage_1, "--big", "false").stdout
    assert "data.sh --fs 8000 --data data\n" in plain
    big = aio(recipe, *stage_1, "--big", "true").stdout
    assert "data.sh --fs 44100 --data d2 --config conf/b.yaml --n 3\n" in big
    assert "validate_data_dir d2/train d2/dev d2/test" in big
    changed = aio(recipe, *stage_1, "--big", "true", "--fs", "24000").stdout
    assert "data.sh --fs 24000 --data d2" in changed
    assert re.search(r"--big +a large run \(false\)", aio(recipe, "--help").stdout)
    wrong = aio(recipe, "--big", "maybe")
    assert wrong.returncode == 1 and "unknown option --big" in wrong.stderr


def test_packages_of_parts_go_to_every_command(recipe: Path) -> None:
    touch(*(recipe / f"data/{split}/wav.scp" for split in ("train", "dev", "test")))
    commands = ran(aio(recipe, "--stage", "2", "--stop_stage", "2", "--parts", "mine yours"))
    assert all("--parts mine yours" in command for command in commands)


def test_every_command_understands_the_arguments_it_gets(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(*(recipe / f"data/{split}/wav.scp" for split in ("train", "dev", "test")))
    touch(*(recipe / f"dump/{split}/codec.json" for split in ("train", "dev")))
    touch(recipe / "dump/units/text/bpe.model", recipe / "exp/codec_a1/codec.safetensors")
    touch(recipe / "exp/train_ssl_a1/model.pt", recipe / "exp/mine/model.pt")
    touch(recipe / "exp/mine/decode_a1_test/decode.json")
    changed = [
        word for name in ("codec", "ssl", "train", "decode") for word in (f"--{name}_args", "a=1")
    ]
    result = aio(recipe, *changed, "--tag", "mine")
    assert result.returncode == 0, result.stderr
    assert len({command.split()[0] for command in ran(result)}) == 10
    for command in ran(result):
        assert parses(command, monkeypatch), command


def test_a_list_is_told_all_options_and_their_values(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = aio(recipe, "--compare", "conf/list.yaml", "--nj", "3", "--train_args", "a=1 b=[1,*]")
    assert result.returncode == 0, result.stderr
    (command,) = ran(result)
    before, _, options = command.partition(" -- ")
    assert before == "compare --list conf/list.yaml --script ../TEMPLATE/aio.sh"
    help_text = aio(recipe, "--help").stdout
    names = re.findall(r"^  (--[a-z_]+)", help_text, flags=re.MULTILINE)
    assert [word for word in options.split() if word.startswith("--")] == names
    told = " --nj 3 ", " --train_args a=1 b=[1,*] ", " --codec exp/codec ", " --seed  --train_set "
    assert all(words in options for words in told)
    assert parses(command, monkeypatch)


def test_what_a_list_keeps_is_of_one_split(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(recipe / "exp/train_aio/decode_dev/decode.json")
    stage_6 = ("--stage", "6", "--stop_stage", "6", "--keep", "results/list/demo/0")
    (command,) = ran(aio(recipe, *stage_6, "--test_sets", "dev"))
    assert command.endswith(" --keep results/list/demo/0")
    assert parses(command, monkeypatch)
    result = aio(recipe, *stage_6, "--test_sets", "dev test")
    assert result.returncode == 1
    assert result.stderr == "error: --keep takes one of --test_sets, not 'dev test'.\n"


def parses(command: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the command up to where its arguments are parsed."""

    class ParsedError(Exception):
        pass

    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_stop(self: argparse.ArgumentParser) -> None:
        parse_args(self)
        raise ParsedError

    name, *arguments = command.split()
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        patch.setattr(sys, "argv", [name, *arguments])
        try:
            importlib.import_module(f"aio_toolkit.bin.{name}").main()
        except ParsedError:
            return True
        except SystemExit:
            return False
    raise AssertionError(f"{name} parses no arguments")


def test_a_pack_has_the_codec_that_is_a_folder_and_the_results_that_there_are(
    recipe: Path,
) -> None:
    touch(recipe / "exp/train_aio/model.pt", recipe / "exp/train_aio/decode_b/results.json")
    stage_8 = ("--stage", "8", "--test_sets", "a b", "--pack_args", "--license mit")
    (named,) = ran(aio(recipe, *stage_8, "--codec", "dac-16khz"))
    results = "--results exp/train_aio/decode_b/results.json"
    assert named == (f"pack --model exp/train_aio --out exp/train_aio/pack {results} --license mit")
    (recipe / "codec").mkdir()
    touch(recipe / "exp/train_aio/decode_a/results.json")
    (command,) = ran(aio(recipe, *stage_8, "--codec", "codec", "--parts", "mine"))
    assert command == (
        "pack --parts mine --model exp/train_aio --out exp/train_aio/pack --codec codec "
        "--results exp/train_aio/decode_a/results.json exp/train_aio/decode_b/results.json "
        "--license mit"
    )


def test_a_failing_command_stops_the_recipe_and_is_reported(recipe: Path) -> None:
    result = aio(recipe, FAIL="1")
    assert result.returncode == 3
    assert "stage 1: stopped" in result.stderr
    assert "exp/data.log" in result.stderr
    assert "stage 2" not in result.stdout


# What waits to be told to end, as a process of a recipe; it says so, and then is gone.
WAITS = (
    "#!/bin/bash\n"
    "trap 'sleep 0.3; echo said last; exit 143' TERM\n"
    "echo $$ > pid\n"
    "while :; do sleep 0.05; done\n"
)


def whose_command_waits(recipe: Path, *, in_script: bool) -> subprocess.Popen[str]:
    """Stage 1, at work for ever: in data.sh or in what it runs."""
    waits = recipe / "waits.sh"
    waits.write_text(WAITS, encoding="utf-8")
    waits.chmod(0o755)
    called = "./waits.sh; echo came back" if in_script else "exec ./waits.sh"
    (recipe / "local/data.sh").write_text(f"#!/bin/bash\n{called}\n", encoding="utf-8")
    process = subprocess.Popen(
        ["bash", "../TEMPLATE/aio.sh"],
        cwd=recipe,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What has been started in the background has Ctrl-C ignored, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (recipe / "pid").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("in_script", [False, True])
@pytest.mark.parametrize(
    ("send", "number"),
    [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT), (os.killpg, signal.SIGTERM)],
)
def test_what_ends_a_recipe_ends_its_command_whose_last_words_are_kept(
    recipe: Path, send, number: int, in_script: bool
) -> None:
    with whose_command_waits(recipe, in_script=in_script) as process:
        send(process.pid, number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "said last" in out and "came back" not in out
    assert "said last" in (recipe / "exp/data.log").read_text(encoding="utf-8")
    assert "stage 1: stopped" in err
    # Whoever has ended may wait for somebody to ask.
    state = Path("/proc", (recipe / "pid").read_text().strip(), "stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


# bin/


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_does_not_load_torch(command: str) -> None:
    arguments = [sys.executable, "-X", "importtime", "-m", f"aio_toolkit.bin.{command}", "--help"]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert "usage:" in result.stdout
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {
        "torch",
        "torchaudio",
        "lightning",
        "dac",
        "matplotlib",
        "espnet2",
        "fast_bss_eval",
    }
