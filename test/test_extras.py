"""Packages that a colleague's machine may lack, and what is told of them."""

import importlib
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from requirement_lists import distributions, normal

from aio_toolkit import extras
from aio_toolkit.codec.base import load_codec
from aio_toolkit.errors import AioError

# Complete commands; none gets as far as to read its arguments.
VERBS = {
    "adapt": "train --config c --units u --out o",
    "train_aio": "train --config c --units u --ssl s --out o",
    "train_codec": "train --config c --data d --dev d --out o",
    "train_ssl": "train --config c --out o",
    "compare": "train --list l --script s",
    "ceiling": "metrics --codec c --data d --out o",
    "probe": "metrics --ssl s --out o",
    "routing": "metrics --model m --data d --out o",
    "score": "metrics --data d --decode d",
    "demo": "demo --model m",
}


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_an_extra_is_what_its_list_installs(extra):
    of_module = packages_distributions()
    named = set()
    for module in extras.EXTRAS[extra]:
        # `make setup` leaves some out; they are called as their module is.
        named |= {normal(name) for name in of_module.get(module, [module])}
    assert named == distributions(f"-{extra}")


@pytest.mark.parametrize("extra", ["codec", "train", "metrics"])
def test_what_is_installed_is_not_imported(extra):
    code = f"import sys; from aio_toolkit.extras import EXTRAS, require; require('{extra}')"
    code += f"; print(set(EXTRAS['{extra}']) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_missing_is_told_with_the_extra(monkeypatch):
    for module in ("lightning", "tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    known = r"the extra 'train' are not installed: lightning, tensorboard. Install them: "
    with pytest.raises(AioError, match=known + r'pip install "aio_toolkit\[train\]".$'):
        extras.require("train")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_tells_at_once_which_extra_it_needs(verb, monkeypatch, tmp_path):
    extra, *arguments = VERBS[verb].split()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [verb, *arguments])
    for module in extras.EXTRAS[extra]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"aio_toolkit.bin.{verb}").main()
    assert f'"aio_toolkit[{extra}]"' in ended.value.code
    assert "\n" not in ended.value.code


def test_results_stand_side_by_side_without_the_metrics(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["score", "--compare", str(tmp_path)])
    for module in extras.EXTRAS["metrics"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=r"^error: .*results\.json does not exist"):
        importlib.import_module("aio_toolkit.bin.score").main()


def test_a_codec_tells_which_extra_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "dac", None)
    with pytest.raises(AioError, match=r'not installed: dac. .*"aio_toolkit\[codec\]"'):
        load_codec("exp/codec")
