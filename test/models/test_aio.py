"""The whole model: frozen parts stay frozen, tasks do not leak, the dense twin has no experts."""

import math

import pytest
import torch
from tiny import (
    NUM_FEATURES,
    batch_of,
    named,
    random_examples,
    randomise_gates,
    router,
    tiny_batch,
    tiny_model,
    tiny_moe,
    with_attention_experts,
)

from aio_toolkit.errors import AioError
from aio_toolkit.heads.base import Frames
from aio_toolkit.layers import valid_frames
from aio_toolkit.models.aio import AioModel
from aio_toolkit.moe.mixture import MoE


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
    model.encoder.mean_F.copy_(torch.linspace(-2, 3, NUM_FEATURES))
    model.encoder.std_F.copy_(torch.linspace(0.25, 4, NUM_FEATURES))
    return model


def with_trained_latents(model: AioModel) -> AioModel:
    """The model with sources that differ from one another."""
    torch.nn.init.normal_(model.heads["audio"].paths["latent"].linear.weight)
    return model


def frames_of(model: AioModel, batch) -> torch.Tensor:
    return model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)[0]


def test_the_backbone_reads_normalised_features_and_a_weighted_sum_of_the_encoder_s_layers(
    vocabulary,
):
    model, batch = with_statistics(tiny_model(vocabulary)).eval(), tiny_batch()
    torch.nn.init.normal_(model.layer_weight)
    valid_BT = valid_frames(batch.lengths_B, batch.feats_BTF.shape[1])
    encoder = model.encoder
    feats_BTF = (batch.feats_BTF - encoder.mean_F) / encoder.std_F
    states = encoder.encoder(encoder.stem(feats_BTF, valid_BT), valid_BT)
    odds = [math.exp(weight) for weight in model.layer_weight.tolist()]
    mixed_BTD = torch.zeros_like(states[0])
    for state_BTD, odd in zip(states, odds, strict=True):
        mixed_BTD += odd / sum(odds) * slow_layer_norm(state_BTD)
    x_BTD = model.feature_projection(feats_BTF) + model.layer_projection(mixed_BTD)
    want, _ = model.backbone(x_BTD, valid_BT, batch.task_B)
    torch.testing.assert_close(frames_of(model, batch), want, atol=1e-5, rtol=1e-4)


def test_the_layers_of_the_encoder_start_with_equal_weights(vocabulary):
    assert tiny_model(vocabulary).layer_weight.softmax(0).tolist() == [0.5, 0.5]


def test_features_are_normalised_once(vocabulary):
    plain, scaled = tiny_model(vocabulary).eval(), with_statistics(tiny_model(vocabulary)).eval()
    batch = tiny_batch()
    want = frames_of(plain, batch)
    batch.feats_BTF = batch.feats_BTF * scaled.encoder.std_F + scaled.encoder.mean_F
    torch.testing.assert_close(frames_of(scaled, batch), want, atol=1e-4, rtol=1e-4)


def losses_of(model: AioModel, batch) -> dict[str, float]:
    torch.manual_seed(7)  # of the class path's context
    return {task: loss.total.item() for task, loss in model(batch).losses.items()}


def test_a_task_s_loss_is_that_of_its_own_rows(vocabulary):
    model = with_trained_latents(with_statistics(tiny_model(vocabulary))).eval()
    examples = random_examples({"asr": [20, 13], "sep": [17, 20]})
    together = losses_of(model, batch_of(examples))
    alone = losses_of(model, batch_of(examples[:2])) | losses_of(model, batch_of(examples[2:]))
    assert together == pytest.approx(alone, rel=1e-4)


def test_each_head_gets_the_frames_lengths_targets_and_features_of_its_rows(vocabulary):
    model = with_trained_latents(with_statistics(tiny_model(vocabulary))).eval()
    batch = tiny_batch()
    h_BTD, want = frames_of(model, batch), {}
    torch.manual_seed(7)
    for task, rows in zip(model.tasks, (slice(0, 2), slice(2, 4)), strict=True):
        # Features as the front end gives them: the head of audio looks for latents there.
        frames = Frames(h_BTD[rows], batch.lengths_B[rows], batch.feats_BTF[rows], task)
        loss = model.heads[task.output].loss(frames, batch.targets[task.name])
        want[task.name] = loss.total.item()
    assert losses_of(model, batch) == pytest.approx(want, rel=1e-5)


def test_the_frames_that_heads_read_are_handed_out(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    h_BTD, output = frames_of(model, batch), model(batch)
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
    together, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    for row, length in enumerate(batch.lengths_B.tolist()):
        own = slice(row, row + 1)
        feats_1TF = batch.feats_BTF[own, :length]
        alone, _ = model.encode(feats_1TF, batch.lengths_B[own], batch.task_B[own])
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-5)


def test_the_task_changes_the_answer(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    as_is, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    swapped, _ = model.encode(batch.feats_BTF, batch.lengths_B, 1 - batch.task_B)
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
