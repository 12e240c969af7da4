"""The whole model: frozen parts stay frozen, tasks do not leak, the dense twin has no experts."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny import (
    CODEC,
    NUM_FEATURES,
    batch_of,
    frames_B,
    hidden,
    named,
    random_example,
    random_examples,
    randomise_gates,
    router,
    rows_of,
    tiny_backbone_config,
    tiny_batch,
    tiny_model,
    tiny_moe,
    with_attention_experts,
)

from aio_toolkit.config import from_values
from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.layers import valid_frames
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.batch import collate
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.tasks import Task, tasks_from_dicts


def test_training_leaves_the_frozen_encoder_bit_equal_and_moves_all_else(vocabulary):
    model = tiny_model(vocabulary).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        sum(loss.total for loss in model(tiny_batch()).losses.values()).backward()
        optimizer.step()
    after = model.state_dict()
    frozen = [name for name in before if name.startswith("encoder.")]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert [name for name in trained if torch.equal(before[name], after[name])] == []


def slow_layer_norm(x_BTD: torch.Tensor) -> torch.Tensor:
    """Without weight or bias."""
    centred_BTD = x_BTD - x_BTD.mean(-1, keepdim=True)
    return centred_BTD / (centred_BTD.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def with_statistics(model: AioModel) -> AioModel:
    """The model with features of means and deviations that are not zero and one."""
    front_end = model.encoder.front_end
    front_end.mean_F.copy_(torch.linspace(-2, 3, NUM_FEATURES))
    front_end.std_F.copy_(torch.linspace(0.25, 4, NUM_FEATURES))
    return model


def with_trained_masks(model: AioModel) -> AioModel:
    """The model with sources that differ from one another."""
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    return model


def test_the_backbone_reads_normalised_features_and_a_weighted_sum_of_the_encoder_s_layers(
    vocabulary,
):
    model, batch = with_statistics(tiny_model(vocabulary)).eval(), tiny_batch()
    torch.nn.init.normal_(model.layer_weight)
    encoder = model.encoder
    heard_BTF = encoder.front_end.parts["log_mel"](batch.wave_BS, batch.samples_B)
    feats_BTF = (heard_BTF - encoder.front_end.mean_F) / encoder.front_end.std_F
    valid_BT = valid_frames(frames_B(batch), feats_BTF.shape[1])
    states = encoder.encoder(encoder.stem(feats_BTF, valid_BT), valid_BT)
    odds = [math.exp(weight) for weight in model.layer_weight.tolist()]
    mixed_BTD = torch.zeros_like(states[0])
    for state_BTD, odd in zip(states, odds, strict=True):
        mixed_BTD += odd / sum(odds) * slow_layer_norm(state_BTD)
    x_BTD = model.feature_projection(feats_BTF) + model.layer_projection(mixed_BTD)
    want, _ = model.backbone(x_BTD, valid_BT, batch.task_B)
    torch.testing.assert_close(hidden(model, batch), want, atol=1e-5, rtol=1e-4)


def test_the_layers_of_the_encoder_start_with_equal_weights(vocabulary):
    assert tiny_model(vocabulary).layer_weight.softmax(0).tolist() == [0.5, 0.5]


def losses_of(model: AioModel, batch) -> dict[str, float]:
    torch.manual_seed(7)  # of the class path's context
    return {task: loss.total.item() for task, loss in model(batch).losses.items()}


def test_a_task_s_loss_is_that_of_its_own_rows(vocabulary):
    model = with_trained_masks(with_statistics(tiny_model(vocabulary))).eval()
    examples = random_examples({"asr": [20, 13], "sep": [17, 20]})
    together = losses_of(model, batch_of(examples))
    alone = losses_of(model, batch_of(examples[:2])) | losses_of(model, batch_of(examples[2:]))
    assert together == pytest.approx(alone, rel=1e-4)


def test_each_head_gets_the_frames_lengths_targets_and_features_of_its_rows(vocabulary):
    model = with_trained_masks(with_statistics(tiny_model(vocabulary))).eval()
    batch = tiny_batch()
    h_BTD, want = hidden(model, batch), {}
    features_BTF = model.encoder.front_end.parts["log_mel"](batch.wave_BS, batch.samples_B)
    torch.manual_seed(7)
    for task, rows in zip(model.tasks, (slice(0, 2), slice(2, 4)), strict=True):
        frames = Frames(
            h_BTD[rows], frames_B(batch)[rows], task, batch.wave_BS[rows], batch.samples_B[rows]
        )
        handed = model(batch).frames[task.name]
        # As the front end gives them, not normalised.
        assert torch.equal(handed.features["log_mel"], features_BTF[rows])
        assert torch.equal(handed.wave_BS, frames.wave_BS)
        assert torch.equal(handed.samples_B, frames.samples_B)
        assert torch.equal(handed.lengths_B, frames.lengths_B)
    torch.manual_seed(7)
    for task, rows in zip(model.tasks, (slice(0, 2), slice(2, 4)), strict=True):
        frames = Frames(
            h_BTD[rows], frames_B(batch)[rows], task, batch.wave_BS[rows], batch.samples_B[rows]
        )
        loss = model.heads[task.output].loss(frames, batch.targets[task.name])
        want[task.name] = loss.total.item()
    assert losses_of(model, batch) == pytest.approx(want, rel=1e-5)


def test_the_frames_that_heads_read_are_handed_out(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    h_BTD, output = hidden(model, batch), model(batch)
    assert output.frames.keys() == output.losses.keys() == {"asr", "sep"}
    assert torch.equal(output.frames["sep"].h_BTD, h_BTD[2:])
    assert output.frames["sep"].task == model.tasks[1]


def test_a_batch_without_targets_has_no_losses(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    del batch.targets["asr"]
    assert model(batch).losses.keys() == {"sep"}


@pytest.mark.parametrize(
    ("names", "text", "audio"),
    [
        (["asr", "sep"], ["asr"], ["sep_spk1", "sep_spk2"]),
        (
            ["music", "st", "enh", "asr"],
            ["st", "asr"],
            ["music_vocals", "music_drums", "music_bass", "music_other", "enh_speech", "enh_noise"],
        ),
        (["st"], ["st"], []),
        (["sound"], [], ["sound_sound1", "sound_sound2", "sound_sound3"]),
    ],
)
def test_a_model_has_the_heads_of_its_tasks_alone(vocabulary, names, text, audio):
    model = tiny_model(vocabulary, tasks=named(*names))
    heads = dict(model.heads)
    assert (list(heads.pop("text").ctc) if text else []) == text
    assert (list(heads.pop("audio").queries) if audio else []) == audio
    assert heads == {}


def test_a_task_is_answered_by_the_head_of_its_kind(vocabulary):
    model = tiny_model(vocabulary)
    asr, sep = model.tasks
    assert model.head_of(asr) is model.heads["text"]
    assert model.head_of(sep) is model.heads["audio"]


def test_encoder_stays_in_evaluation_mode(vocabulary):
    model = tiny_model(vocabulary).train()
    assert model.backbone.training
    assert not any(module.training for module in model.encoder.modules())


def test_an_utterance_does_not_depend_on_the_batch_it_is_in(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    together = hidden(model, batch)
    for row, length in enumerate(frames_B(batch).tolist()):
        alone = rows_of(batch, slice(row, row + 1))
        alone.wave_BS = alone.wave_BS[:, : batch.samples_B[row]]
        got = hidden(model, alone)[0]
        torch.testing.assert_close(together[row, :length], got, atol=1e-5, rtol=1e-5)


def test_the_task_changes_the_answer(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    as_is = hidden(model, batch)
    swapped = hidden(model, rows_of(batch, slice(None), 1 - batch.task_B))
    assert (as_is - swapped).abs().max() > 1e-3


def matrices(module: torch.nn.Module) -> int:
    """Parameters except biases, which experts lack, and gates, which dense layers lack."""
    return sum(p.numel() for n, p in module.named_parameters() if p.ndim > 1 and "gate" not in n)


def dense() -> MoE.Config:
    return tiny_moe(feed_forward={"layers": []})


def one_expert(ffn_width: int) -> MoE.Config:
    experts = {"feed_forward": {"ffn_width": ffn_width}}
    return tiny_moe(feed_forward={"num_experts": 1, "top_k": 1, "experts": experts})


def test_dense_twins_have_no_experts_and_as_many_parameters_active_or_in_all(vocabulary):
    layer = tiny_model(vocabulary).backbone.blocks[1].feed_forward
    for twin, share in ((dense(), 2 / 4), (one_expert(4 * 16), 1)):
        model = tiny_model(vocabulary, twin)
        assert model(tiny_batch()).tables == {}
        assert matrices(model.backbone.blocks[1].feed_forward) == share * matrices(layer)
        assert matrices(model.backbone.blocks[0].feed_forward) == 2 * 16 * 32


def test_experts_stand_in_the_blocks_that_are_named(vocabulary):
    moe = with_attention_experts(feed_forward={"layers": [0]})
    model = tiny_model(vocabulary, moe)
    names = ["block0.attention", "block0.feed_forward", "block1.attention"]
    assert list(model.backbone.moe_layers()) == names
    assert sorted(model(tiny_batch()).tables) == names
    message = "moe.feed_forward.layers names block 2; the backbone has blocks 0 to 1"
    with pytest.raises(AioError, match=message):
        tiny_model(vocabulary, tiny_moe(feed_forward={"layers": [0, 2]}))


@pytest.mark.parametrize("kind", ["per_task", "shared", "task_conditioned"])
def test_recomputation_changes_neither_gradients_nor_what_is_counted(vocabulary, kind):
    outputs, gradients = [], []
    for recompute in (False, True):
        moe = with_attention_experts(router=router(kind))
        model = tiny_model(vocabulary, moe, recompute=recompute)
        randomise_gates(model)
        torch.manual_seed(3)  # of the router's noise
        output = model.train()(tiny_batch())
        torch.manual_seed(4)
        sum(loss.total for loss in output.losses.values()).backward()
        outputs.append(output)
        params = model.named_parameters()
        gradients.append({name: p.grad for name, p in params if p.grad is not None})
    plain, recomputed = outputs
    for name, table in plain.tables.items():
        assert torch.equal(recomputed.tables[name].count_GE, table.count_GE)
        assert table.tokens_G.tolist() == [33, 37]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_the_backbone_reads_the_features_of_both_lists(vocabulary):
    """What the encoder does not hear reaches the frames through the projection alone."""
    config = from_values(AioModel.Config, {"front_end": {"parts": ["stft"]}}, "tiny")
    small = dataclasses.replace(config, backbone=tiny_backbone_config())
    tiny = tiny_model(vocabulary, tasks=named("asr"))
    model = AioModel(small, tiny.tasks, tiny.encoder, tiny.units).eval()
    num_spectra = 2 * 257 * 2
    assert model.feature_projection.in_features == NUM_FEATURES + num_spectra
    batch = batch_of(random_examples({"asr": [9]}), model.tasks)
    model.front_end.mean_F.fill_(0.5)
    before = hidden(model, batch)
    # Bins that are multiplied by nothing are not read.
    model.feature_projection.weight.data[:, NUM_FEATURES:] = 0
    blind = hidden(model, batch)
    model.front_end.mean_F.fill_(1.5)
    assert torch.equal(hidden(model, batch), blind)
    assert not torch.allclose(blind, before)


def test_a_front_end_that_the_encoder_has_already_is_refused(vocabulary):
    config = from_values(AioModel.Config, {"front_end": {"parts": ["log_mel"]}}, "tiny")
    tiny = tiny_model(vocabulary)
    with pytest.raises(AioError, match="front_end.parts: the encoder hears 'log_mel'.*Leave it"):
        AioModel(config, tiny.tasks, tiny.encoder, tiny.units)


def test_a_head_that_reads_a_front_end_which_is_not_there_says_so(vocabulary):
    sections = {"heads": {"audio": {"paths": {"latent": {"weight": 1.0}}}}}
    config = from_values(AioModel.Config, sections, "tiny")
    tiny = tiny_model(vocabulary)
    with pytest.raises(AioError, match="audio head reads front end codec_latents.*Add it to"):
        AioModel(config, tiny.tasks, tiny.encoder, tiny.units)


def target_speaker() -> Task:
    """A task that hears an enrolment besides."""
    values = {
        "title": "target speaker",
        "output": "audio",
        "targets": ["speech"],
        "metrics": ["si_sdr"],
        "inputs": ["enrol"],
    }
    [task] = tasks_from_dicts({"tse": values})
    return task


def test_an_enrolment_changes_the_answer_of_its_row_and_of_no_other(vocabulary):
    tse = target_speaker()
    model = tiny_model(vocabulary, tasks=[*named("asr"), tse]).eval()
    asr = random_examples({"asr": [20, 13]})
    rng = np.random.default_rng(3)
    mixture = random_example(rng, tse, 17)
    enrolments = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (3000, 4100)]
    heard = []
    for enrolment_S in enrolments:
        example = dataclasses.replace(mixture, inputs={"enrol": enrolment_S})
        output = model.encode(collate([*asr, example], model.tasks, CODEC.hop))
        assert output.h_BTD.shape[1] == 20
        heard.append(output.h_BTD)
    torch.testing.assert_close(heard[0][:2], heard[1][:2], atol=1e-5, rtol=1e-5)
    assert (heard[0][2, :17] - heard[1][2, :17]).abs().max() > 1e-3

    alone = dataclasses.replace(mixture, inputs={"enrol": enrolments[1]})
    got = hidden(model, collate([alone], model.tasks, CODEC.hop))
    torch.testing.assert_close(got[0], heard[1][2, :17], atol=1e-5, rtol=1e-5)


def test_the_vector_that_marks_an_enrolment_is_trained(vocabulary):
    tse = target_speaker()
    model = tiny_model(vocabulary, tasks=[tse]).train()
    torch.nn.init.normal_(model.heads["audio"].paths["mask"].linear.weight)
    example = random_example(np.random.default_rng(0), tse, 9)
    example.inputs = {"enrol": example.wave_S[:1600]}
    batch = collate([example], model.tasks, CODEC.hop)
    model(batch).losses["tse"].total.backward()
    assert model.input_embedding["enrol"].grad.abs().max() > 0
