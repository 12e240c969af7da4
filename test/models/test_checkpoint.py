"""Checkpoints: a model comes back as it was, with all that gives its weights meaning."""

import dataclasses

import pytest
import torch
from tiny import (
    CODEC,
    TASKS,
    hidden,
    named,
    router,
    save_tiny,
    tiny_batch,
    tiny_encoder,
    tiny_model,
    with_attention_experts,
)

from aio_toolkit.config import to_dict
from aio_toolkit.errors import AioError
from aio_toolkit.models.adaptation import add_task
from aio_toolkit.models.checkpoint import LoadedAio, LoadedSsl, load_aio, load_ssl


@pytest.mark.parametrize("kind", ["per_task", "shared", "task_conditioned"])
def test_a_checkpoint_gives_back_the_same_model(vocabulary, tmp_path, kind):
    moe = with_attention_experts(router=router(kind, noise=0.25))
    model, batch = tiny_model(vocabulary, moe).eval(), tiny_batch()
    save_tiny(tmp_path / "model.pt", model)
    loaded = load_aio(tmp_path / "model.pt")
    assert loaded.model.tasks == TASKS
    assert to_dict(loaded.model.config) == to_dict(model.config)
    assert not loaded.model.training
    assert torch.equal(hidden(loaded.model, batch), hidden(model, batch))


def test_units_codec_and_front_end_come_back(vocabulary, tmp_path):
    model = tiny_model(vocabulary)
    codec = dataclasses.replace(CODEC, name="c")
    save_tiny(tmp_path / "model.pt", model, codec)
    loaded = load_aio(tmp_path / "model.pt")
    assert loaded.codec == codec
    assert to_dict(loaded.model.encoder.config) == to_dict(model.encoder.config)
    units = loaded.model.units
    assert units["text"] == model.units["text"]
    assert units["audio"].fingerprint == CODEC
    for name in ("embedding_QVC", "silence_Q"):
        assert torch.equal(getattr(units["audio"], name), getattr(model.units["audio"], name))


def test_a_model_saved_twice_gives_the_same_bytes(vocabulary, tmp_path):
    model = tiny_model(vocabulary)
    for name in ("a", "b"):
        save_tiny(tmp_path / name / "model.pt", model)
    first, second = (tmp_path / name / "model.pt" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_every_weight_comes_back(vocabulary, tmp_path):
    model = tiny_model(vocabulary)
    model.encoder.front_end.mean_F.fill_(3.0)
    save_tiny(tmp_path / "model.pt", model)
    state = load_aio(tmp_path / "model.pt").model.state_dict()
    torch.testing.assert_close(state, model.state_dict(), atol=0, rtol=0)


def test_a_task_of_its_own_options_comes_back(vocabulary, tmp_path):
    model = tiny_model(vocabulary, tasks=named("st", "enh"))
    save_tiny(tmp_path / "model.pt", model)
    st, enh = load_aio(tmp_path / "model.pt").model.tasks
    assert (st.options.language, enh.options.residual) == ("fr", "noise")


def test_a_model_that_was_given_a_task_comes_back_with_it(vocabulary, tmp_path):
    model = tiny_model(vocabulary).eval()
    (st,) = named("st")
    add_task(model, st, model.units["text"])
    save_tiny(tmp_path / "model.pt", model)
    loaded = load_aio(tmp_path / "model.pt").model
    assert loaded.tasks == [*TASKS, st]
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=0, rtol=0)


def test_options_of_kinds_that_the_model_does_not_answer_are_not_kept(vocabulary, tmp_path):
    save_tiny(tmp_path / "model.pt", tiny_model(vocabulary, tasks=named("asr")))
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["config"]["heads"].keys() == {"text"}


def test_a_part_of_a_package_that_is_not_in_use_is_named(vocabulary, tmp_path):
    path = tmp_path / "model.pt"
    save_tiny(path, tiny_model(vocabulary))
    content = torch.load(path, weights_only=True)
    content["config"]["backbone"]["moe"]["router"] = {"kind": "hashed"}
    torch.save(content, path)
    with pytest.raises(AioError, match="moe.router.*unknown kind 'hashed'"):
        load_aio(path)


def test_a_kind_of_answer_of_a_package_that_is_not_in_use_is_named(vocabulary, tmp_path):
    path = tmp_path / "model.pt"
    save_tiny(path, tiny_model(vocabulary))
    content = torch.load(path, weights_only=True)
    content["tasks"]["asr"]["output"] = "tags"
    torch.save(content, path)
    with pytest.raises(AioError, match="task 'asr': key 'output': answers: unknown kind 'tags'"):
        load_aio(path)


def test_the_encoder_of_stage_3_is_saved_without_its_objective(tmp_path):
    encoder = tiny_encoder()
    LoadedSsl(encoder, CODEC).save(tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["state"].keys() == encoder.state_dict().keys()
    assert load_ssl(tmp_path / "model.pt").codec == CODEC


@pytest.mark.parametrize(("load", "stage"), [(load_aio, 4), (load_ssl, 3)])
def test_a_missing_or_damaged_checkpoint_names_its_stage(tmp_path, load, stage):
    path = tmp_path / "model.pt"
    with pytest.raises(AioError, match=f"model.pt does not exist. Run stage {stage} first"):
        load(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(AioError, match=f"is damaged. Delete it and run stage {stage} again"):
        load(path)


def test_a_checkpoint_of_another_kind_is_named(vocabulary, tmp_path):
    path = tmp_path / "model.pt"
    save_tiny(path, tiny_model(vocabulary))
    with pytest.raises(AioError, match="not the checkpoint of an ssl encoder"):
        load_ssl(path)
    torch.save([1, 2], path)
    with pytest.raises(AioError, match="not the checkpoint of an aio model"):
        load_aio(path)


def test_how_long_examples_were_comes_back(vocabulary, tmp_path):
    path = tmp_path / "model.pt"
    loaded = LoadedAio(tiny_model(vocabulary), CODEC)
    loaded.model.example_seconds |= {"asr": 2.5, "sep": 1.75}
    loaded.save(path)
    found = load_aio(path).model.example_seconds
    assert (found["asr"], found["sep"]) == (2.5, 1.75)
    assert found == loaded.model.example_seconds


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9, float("nan")])
def test_examples_of_no_length_are_refused(vocabulary, seconds):
    content = LoadedAio(tiny_model(vocabulary), CODEC).content()
    content["example_seconds"]["sep"] = seconds
    with pytest.raises(AioError, match=r"model\.pt: example_seconds of task 'sep' is .*, not from"):
        LoadedAio.from_content(content, "model.pt")


def test_a_task_whose_examples_are_untold_is_named(vocabulary):
    content = LoadedAio(tiny_model(vocabulary), CODEC).content()
    del content["example_seconds"]["asr"]
    with pytest.raises(AioError, match="example_seconds of task 'asr' is 0.*Run stage 4"):
        LoadedAio.from_content(content, "model.pt")
