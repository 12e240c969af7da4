"""The YAML files of all recipes fit the schemas of the stages, which is told at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aio_toolkit.config import check_config
from aio_toolkit.tasks import load_tasks

ROOT = Path(__file__).parents[2]
SCHEMAS = {
    "adapt": "aio_toolkit.training.adapt:Adaptation",
    "codec": "aio_toolkit.training.codec:CodecModule",
    "compare": "aio_toolkit.analysis.comparison_list:ComparisonList",
    "decode": "aio_toolkit.decoding.run:BatchDecoder",
    "extract": "aio_toolkit.analysis.extraction:Extraction",
    "train": "aio_toolkit.training.pretrain:PretrainModule",
    "train_aio": "aio_toolkit.training.multitask:MultitaskModule",
    "train_ssl": "aio_toolkit.training.pretrain:PretrainModule",
}
# What is read by the recipe's own scripts, or by `load_tasks`.
OTHERS = ("corpus", "data", "tasks")
FILES = sorted(ROOT.glob("egs/*/conf/*.yaml"))


def schema_of(path: Path) -> str:
    """The schema that a file of a recipe is checked against: by the longest name it begins with."""
    names = [name for name in SCHEMAS if path.stem.startswith(name)]
    return SCHEMAS[max(names, key=len)] if names else "none"


STAGES = [(path, schema_of(path)) for path in FILES if not path.stem.startswith(OTHERS)]


def recipe_and_file(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}" if isinstance(path, Path) else ""


@pytest.mark.parametrize(("path", "where"), STAGES, ids=recipe_and_file)
def test_the_schemas_of_the_stages_accept_the_files_of_the_recipes(path, where):
    check_config(where, path)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem == "tasks"], ids=recipe_and_file
)
def test_the_tasks_of_the_recipes_can_be_read(path):
    assert {"asr", "sep", "enh"} <= load_tasks(path).keys()


def test_checking_takes_less_than_a_second_and_imports_no_torch():
    """In a process of its own, as this one has imported everything."""
    code = (
        "import json, sys, time\n"
        "from aio_toolkit.config import check_config\n"
        "seconds, before = [], 0.0\n"
        "for where, path in json.loads(sys.argv[1]):\n"
        "    check_config(where, path)\n"
        "    seconds.append(time.process_time() - before)\n"
        "    before = time.process_time()\n"
        "slow = {'torch', 'numpy', 'lightning', 'espnet2'} & sys.modules.keys()\n"
        "print(json.dumps([seconds, sorted(slow)]))\n"
    )
    # The first check, of the largest schema, pays for all imports.
    stages = sorted(STAGES, key=lambda stage: "train_aio" not in stage[0].stem)
    argument = json.dumps([(where, str(path)) for path, where in stages])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, argument]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    seconds, slow = json.loads(done.stdout)
    assert max(seconds) < 1.0
    assert slow == []
