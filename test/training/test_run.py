"""What defines a run is kept in its folder, and told from what defines another."""

import re
import shutil
from pathlib import Path

import pytest
from tiny import SSL_OVERRIDES

from aio_toolkit.config import load_config
from aio_toolkit.errors import AioError
from aio_toolkit.training.pretrain import PretrainModule
from aio_toolkit.training.run import Run, contents


def config(*more: str) -> PretrainModule.Config:
    return load_config(PretrainModule.Config, None, [*SSL_OVERRIDES, *more])


def claim(run: Run, *, learns: bool = True) -> None:
    """Begin a run; unless told otherwise, until it has learnt something."""
    run.claim(run.settled())
    if learns:
        checkpoint = run.out / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.touch()


def test_a_claimed_folder_holds_the_configuration(tmp_path):
    claim(Run(config("optim.lr=0.5"), tmp_path))
    assert load_config(PretrainModule.Config, tmp_path / "config.yaml") == config("optim.lr=0.5")
    claim(Run(config("optim.lr=0.5"), tmp_path))


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        ("optim.lr=0.5", "optim.lr: 0.001 there, 0.5 now"),
        ("model.masking.span=3", "model.masking.span: 8 there, 3 now"),
        ("data.seconds.sep=2.0", "data.seconds.sep: 1.0 there, 2.0 now"),
        ("data.seconds.st=2.0", "data.seconds.st: None there, 2.0 now"),
        ("trainer.precision=64-true", "trainer.precision: None there, 64-true now"),
        ("trainer.max_steps=7", "trainer.max_steps: 8 there, 7 now"),
    ],
)
def test_a_claim_with_another_configuration_names_the_first_difference(
    tmp_path, option, difference
):
    claim(Run(config(), tmp_path))
    with pytest.raises(AioError, match=re.escape(f"({difference})")):
        claim(Run(config(option), tmp_path))


@pytest.mark.parametrize(
    "option",
    [
        *("trainer.accelerator=gpu", "trainer.devices=4", "trainer.enable_progress_bar=true"),
        *("trainer.log_every_n_steps=7", "trainer.checkpoint_every=3", "trainer.max_time=1"),
        *("data.num_workers=3", "data.dev_seconds=7.5"),
    ],
)
def test_what_does_not_define_a_run_may_change(tmp_path, option):
    claim(Run(config(), tmp_path))
    claim(Run(config(option), tmp_path))
    # Nor is it a difference when it is taken back.
    claim(Run(config(), tmp_path))


def test_a_run_that_has_learnt_nothing_has_no_say(tmp_path):
    claim(Run(config(), tmp_path, {"data/train": "1a"}), learns=False)
    claim(Run(config("optim.lr=0.5"), tmp_path, {"data/train": "2b"}), learns=False)
    kept = load_config(PretrainModule.Config, tmp_path / "config.yaml")
    assert kept == config("optim.lr=0.5")


def test_a_finished_run_that_is_to_go_on_keeps_its_product_aside(tmp_path, capsys):
    claim(Run(config(), tmp_path))
    (tmp_path / "model.pt").write_text("of 8 steps")
    longer = Run(config("trainer.max_steps=9"), tmp_path)
    assert not longer.is_finished("model.pt")
    assert (tmp_path / "model_of_8_steps.pt").read_text() == "of 8 steps"
    assert not longer.is_finished("model.pt")
    claim(longer)
    assert f"{tmp_path} goes on to 9 steps" in capsys.readouterr().out
    (tmp_path / "model.pt").touch()
    assert longer.is_finished("model.pt")


def test_a_run_is_finished_when_its_product_is_there(tmp_path, capsys):
    product = tmp_path / "model.pt"
    claim(Run(config(), tmp_path))
    assert not Run(config(), tmp_path).is_finished("model.pt")
    product.touch()
    assert Run(config(), tmp_path).is_finished("model.pt")
    assert "model.pt is finished: nothing to do" in capsys.readouterr().out


def test_the_product_of_another_run_is_not_taken_for_this_one_s(tmp_path):
    claim(Run(config(), tmp_path))
    (tmp_path / "model.pt").touch()
    with pytest.raises(AioError, match="optim.lr: 0.001 there, 0.5 now"):
        Run(config("optim.lr=0.5"), tmp_path).is_finished("model.pt")


@pytest.mark.parametrize("product", [True, False])
def test_a_run_whose_data_have_changed_is_not_taken_for_this_one(tmp_path, product):
    before = {"data/train": "1a", "data/dev": "2b"}
    claim(Run(config(), tmp_path, before))
    if product:
        (tmp_path / "model.pt").touch()
    claim(Run(config(), tmp_path, before))
    changed = Run(config(), tmp_path, before | {"data/dev": "3c"})
    message = f"{tmp_path} was begun before data/dev changed. Delete {tmp_path}"
    with pytest.raises(AioError, match=re.escape(message)):
        changed.is_finished("model.pt") if product else claim(changed)


def test_a_source_that_has_been_added_is_a_change(tmp_path):
    claim(Run(config(), tmp_path, {"data/train": "1a"}))
    with pytest.raises(AioError, match="before the sources of data.mixing.sep changed"):
        claim(Run(config(), tmp_path, {"data/train": "1a", "the sources of data.mixing.sep": "4d"}))


def test_contents_are_told_file_by_file(tmp_path):
    for name, text in (("units/a.txt", "a"), ("units/b/c.txt", "c"), ("model.pt", "m")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    paths = tmp_path / "units", tmp_path / "model.pt"
    told = contents(*paths)
    names = "units/a.txt", "units/b/c.txt", "model.pt"
    assert list(told) == [str(tmp_path / name) for name in names]
    (tmp_path / "units/b/c.txt").write_text("d")
    again = contents(*paths)
    assert [name for name in told if told[name] != again[name]] == [str(tmp_path / "units/b/c.txt")]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(AioError, match="model.pt does not exist"):
        contents(tmp_path / "model.pt")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40] + bytes(range(200, 240)) + b"...\n")


@pytest.mark.parametrize("name", ["config.yaml", "made_from.json"])
@pytest.mark.parametrize("damage", [cut, empty, spoil, Path.unlink])
def test_a_folder_that_cannot_say_how_it_was_begun_is_told(tmp_path, name, damage):
    run = Run(config(), tmp_path, {"data/train": "1a"})
    claim(run)
    damage(tmp_path / name)
    message = rf"{name}.*how the run was begun is not known\. Put it back, or delete {tmp_path} to"
    with pytest.raises(AioError, match=message) as caught:
        run.settled()
    assert "\n" not in str(caught.value)
    # Deleting it is a way out.
    shutil.rmtree(tmp_path)
    claim(run)
    run.settled()
