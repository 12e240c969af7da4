"""Packs of strangers: what is wrong is named, and nothing of theirs runs."""

import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from foreign import PACKAGES, in_use
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import TASKS_YAML, save_tiny, tiny_model

from aio_toolkit import parts
from aio_toolkit.bin import info
from aio_toolkit.errors import AioError
from aio_toolkit.hub.card import About
from aio_toolkit.hub.checksums import write_checksums
from aio_toolkit.hub.pack import pack_model
from aio_toolkit.hub.unpack import unpack, with_codec
from aio_toolkit.models.aio import AioModel
from aio_toolkit.tasks import load_tasks


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("hacked"),)


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path, monkeypatch):
    """Code of a hostile pack would leave a file where the test runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was loaded"))
    yield
    assert not (tmp_path / "hacked").exists()


def forge(pack: Path, **changes: object) -> Path:
    """Change keys of `model.yaml`, and the checksums with it, as a forger would."""
    path = pack / "model.yaml"
    values = yaml.safe_load(path.read_text())
    for dotted, value in changes.items():
        section = values
        *outer, last = dotted.split("__")
        for key in outer:
            section = section[key]
        section[last] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    write_again(pack)
    return pack


def write_again(pack: Path) -> None:
    (pack / "checksums.json").unlink()
    write_checksums(pack)


def refused(pack: Path, message: str, trust: tuple[str, ...] = ()) -> None:
    with pytest.raises(AioError, match=message):
        unpack(pack, pack, trust)


# --- damage ---


@pytest.mark.parametrize(
    "name", ["model.yaml", "model.safetensors", "units/text/bpe.model", "units/audio/values.yaml"]
)
def test_a_changed_or_missing_file_is_named(pack, name):
    blob = bytearray((pack / name).read_bytes())
    blob[-1] ^= 1
    (pack / name).write_bytes(blob)
    refused(pack, f"{name} has changed since it was packed")
    (pack / name).unlink()
    refused(pack, f"{name} is missing")


def test_a_shuffled_vocabulary_is_refused_by_its_checksum_and_without(pack):
    tokens = pack / "units/text/tokens.txt"
    first, second, third, *rest = tokens.read_text().splitlines()
    tokens.write_text("\n".join([first, third, second, *rest]) + "\n")
    refused(pack, "tokens.txt has changed")
    write_again(pack)
    refused(pack, "tokens.txt does not match")


def test_units_of_a_kind_that_are_not_there_are_named(pack):
    shutil.rmtree(pack / "units/audio")
    write_again(pack)
    refused(pack, "units/audio/values.yaml does not exist")


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_version_is_refused(pack, version):
    refused(forge(pack, version=version), f"is of version {version}, and this program reads ver")


def test_weights_of_another_model_are_told(pack):
    refused(forge(pack, config__backbone__width=32), "the weights are not those of the model: ")


def test_a_codec_of_another_model_is_refused(pack):
    (pack / "codec").mkdir()
    (pack / "codec/architecture.yaml").write_text("kind: dac\n")
    (pack / "codec/codec.safetensors").write_bytes(b"other")
    write_again(pack)
    refused(pack, "codec is another codec than the model's")


@pytest.mark.parametrize("key", ["base", "parts"])
def test_a_codec_that_refers_to_elsewhere_is_refused(pack, key):
    (pack / "codec").mkdir()
    (pack / "codec/architecture.yaml").write_text(f"kind: dac\n{key}: other.yaml\n")
    (pack / "codec/codec.safetensors").write_bytes(b"it")
    write_again(pack)
    sums = yaml.safe_load((pack / "checksums.json").read_text())
    forge(pack, encoder__codec__weights_sha256=sums["codec/codec.safetensors"])
    refused(pack, f"architecture.yaml: key '{key}' names what is not in the pack")


# --- hostility ---


@pytest.mark.parametrize("name", ["model.safetensors", "units/audio/tensors.safetensors"])
def test_a_pickle_in_the_place_of_tensors_does_not_run(pack, name):
    (pack / name).write_bytes(pickle.dumps({"state": Evil()}))
    write_again(pack)
    refused(pack, f"{name} is no safetensors file")


def test_a_class_path_in_yaml_does_not_run(pack):
    path = pack / "model.yaml"
    path.write_text(path.read_text() + "evil: !!python/object/apply:os.mknod ['hacked']\n")
    write_again(pack)
    refused(pack, "model.yaml is not plain YAML")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config__backbone__width": "${oc.env:HOME}"}, "key 'config.backbone.width'.*looked up"),
        ({"tasks__asr__title": "../x"}, "key 'tasks.asr.title': '../x' is a path out"),
        ({"tasks__asr__output": "os.system"}, "unknown kind 'os.system'"),
        ({"encoder__config__encoder__kind": "os"}, "unknown kind 'os'"),
        ({"config__backbone___target_": "os.system"}, "unknown key 'backbone._target_'"),
        ({"evil": 1}, "unknown key 'evil'"),
        ({"parts": ["/tmp/evil"]}, "key 'parts.0': '/tmp/evil' is a path out"),
        ({"parts": ["antigravity"]}, "has parts of package 'antigravity', which is code"),
        (
            {"encoder__config__front_end__options__codec_latents__codec": "evil.pth"},
            "names codec 'evil.pth', not that of the pack",
        ),
    ],
)
def test_values_that_would_do_something_are_refused_by_key(pack, changes, message):
    refused(forge(pack, **changes), message)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(pack):
    (pack / "model.yaml").unlink()
    os.mkfifo(pack / "model.yaml")
    refused(pack, "model.yaml is not a file")


KEYS = [
    *("config", "encoder", "tasks", "num_experts", "parts", "tasks__asr", "tasks__asr__text"),
    *("tasks__asr__output", "tasks__asr__targets", "tasks__asr__metrics", "encoder__codec"),
    *("encoder__config", "config__backbone", "config__backbone__moe", "config__heads"),
    *("example_seconds", "example_seconds__sep"),
    *("encoder__codec__hop", "encoder__codec__sample_rate", "config__backbone__num_heads"),
]
JUNK = st.sampled_from([None, "", "x", 0, -1, [], [1], {}, {"x": 1}, {"x": {"y": None}}, True])


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=st.sampled_from(KEYS), junk=JUNK)
def test_junk_in_the_place_of_any_value_is_an_error_for_people(packed, tmp_path, key, junk):
    pack = Path(shutil.copytree(packed, tmp_path / "junk", dirs_exist_ok=True))
    shutil.copy(packed / "model.yaml", pack / "model.yaml")
    try:
        unpack(forge(pack, **{key: junk}), pack)
    except AioError as error:
        assert str(error)


# --- packages ---


@pytest.fixture
def tagging_pack(vocabulary, tmp_path) -> Path:
    """A model with a task of another package."""
    path = tmp_path / "tasks.yaml"
    path.write_text(
        f"base: {TASKS_YAML}\nparts: [tagging]\ntasks:\n"
        "  tag: {title: tags, output: tags, targets: [tags], metrics: [f1]}\n"
    )
    with in_use("tagging"):
        tasks = load_tasks(path)
        model = tiny_model(vocabulary, tasks=[tasks["asr"]])
        units = parts.find_in("answers", "tags").units(("bark", "dog"))
        model = AioModel(
            model.config,
            [tasks["asr"], tasks["tag"]],
            model.encoder,
            {**model.units, "tags": units},
        )
        save_tiny(tmp_path / "exp" / "model.pt", model)
        with pytest.MonkeyPatch.context() as patch:
            # Packing reads the user's own checkpoint.
            patch.setattr(torch, "load", torch.serialization.load)
            pack_model(tmp_path / "exp", tmp_path / "tagging-pack", About("tagging"))
    return tmp_path / "tagging-pack"


@pytest.fixture
def without_packages(monkeypatch):
    """The folder of packages is on the path, and none is in use."""
    before = parts.packages()
    monkeypatch.syspath_prepend(str(PACKAGES))
    yield
    parts._packages[:] = before
    parts.use([])


def test_a_package_runs_when_it_is_trusted_by_name(tagging_pack, without_packages):
    refused(tagging_pack, r"package 'tagging', which is code. .*trust=\['tagging'\]")
    refused(tagging_pack, "package 'tagging'", trust=("tag", "other"))
    assert "tagging" not in parts.packages()
    for trust in (["tagging"], "tagging"):
        model = unpack(tagging_pack, tagging_pack, trust).model
        assert model.units["tags"].tags == ("bark", "dog")


def test_the_command_that_describes_a_pack_takes_those_that_are_trusted(
    tagging_pack, without_packages, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["info", str(tagging_pack), "--trust", "tagging"])
    info.main()
    assert "  tag  tags: tags\n" in capsys.readouterr().out


def test_one_name_is_not_its_letters(pack, without_packages):
    refused(forge(pack, parts=["tag"]), "package 'tag', which is code", trust="tagging")


def test_a_trusted_package_has_to_be_installed(pack):
    refused(forge(pack, parts=["no_such"]), "there is no package 'no_such'", trust=("no_such",))


def test_a_package_in_use_is_trusted_already(tagging_pack):
    with in_use("tagging"):
        assert unpack(tagging_pack, tagging_pack).model.units["tags"].tags == ("bark", "dog")


def test_a_codec_is_replaced_wherever_a_part_names_one():
    values = {"a": [{"codec": "x"}], "codec": {"hop": 320}, "b": {"codec": "codec", "c": "x"}}
    assert with_codec(values, "y") == {
        "a": [{"codec": "y"}],
        "codec": {"hop": 320},
        "b": {"codec": "y", "c": "x"},
    }
