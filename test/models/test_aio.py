"""The whole model: frozen parts stay frozen, tasks do not leak, the dense twin has no experts."""

import pytest
import torch
from tiny import ENCODER, TASKS, tiny_batch, tiny_config, tiny_model, with_attention_experts

from aio_toolkit.errors import AioError
from aio_toolkit.models.checkpoint import Provenance, load_aio, load_ssl, save_aio
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.moe.layer import MoEConfig
from aio_toolkit.moe.router import RouterConfig


def test_training_leaves_the_frozen_encoder_bit_equal_and_moves_all_else(vocabulary):
    model = tiny_model(vocabulary).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        sum(loss.total for loss in model(tiny_batch()).losses.values()).backward()
        optimizer.step()
    after = model.state_dict()
    frozen = [name for name in before if name.startswith("encoder.")]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    still = [n for n, p in model.named_parameters() if p.requires_grad and torch.equal(before[n], after[n])]
    assert still == []


def test_encoder_stays_in_evaluation_mode(vocabulary):
    model = tiny_model(vocabulary).train()
    assert model.backbone.training
    assert not any(module.training for module in model.encoder.modules())


def test_an_utterance_does_not_depend_on_the_batch_it_is_in(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    together, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    for row, length in enumerate(batch.lengths_B.tolist()):
        alone, _ = model.encode(
            batch.feats_BTF[row : row + 1, :length], batch.lengths_B[row : row + 1], batch.task_B[row : row + 1]
        )
        torch.testing.assert_close(together[row, :length], alone[0], atol=1e-5, rtol=1e-5)


def test_the_task_changes_the_answer(vocabulary):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    as_is, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    swapped, _ = model.encode(batch.feats_BTF, batch.lengths_B, 1 - batch.task_B)
    assert (as_is - swapped).abs().max() > 1e-3


def matrices(module) -> int:
    """Parameters but for biases, which experts lack, and gates, which dense layers lack."""
    return sum(p.numel() for n, p in module.named_parameters() if p.ndim > 1 and "gate" not in n)


def test_dense_twins_have_no_experts_and_as_many_parameters_active_or_in_all(vocabulary):
    layer = tiny_model(vocabulary).backbone.blocks[1].feed_forward
    for twin, share in ((MoEConfig(layers=[]), 2 / 4), (MoEConfig(num_experts=1, expert_hidden=4 * 16), 1)):
        dense = tiny_model(vocabulary, twin)
        assert dense(tiny_batch()).tables == {}
        assert matrices(dense.backbone.blocks[1].feed_forward) == share * matrices(layer)
        assert matrices(dense.backbone.blocks[0].feed_forward) == 2 * 16 * 32


def test_experts_stand_in_the_blocks_that_are_named(vocabulary):
    moe = with_attention_experts(layers=[0])
    model = tiny_model(vocabulary, moe)
    names = ["block0.attention", "block0.feed_forward", "block1.attention"]
    assert list(model.backbone.moe_layers()) == names
    assert sorted(model(tiny_batch()).tables) == names
    with pytest.raises(AioError, match="moe.layers names block 2; the backbone has blocks 0 to 1"):
        tiny_model(vocabulary, MoEConfig(layers=[0, 2]))


@pytest.mark.parametrize("kind", ["per_task", "shared", "task_conditioned"])
def test_recomputation_changes_neither_gradients_nor_what_is_counted(vocabulary, kind):
    outputs, gradients = [], []
    for recompute in (False, True):
        model = tiny_model(vocabulary, with_attention_experts(router=RouterConfig(kind)), recompute=recompute)
        torch.manual_seed(3)  # of the router's noise
        output = model.train()(tiny_batch())
        torch.manual_seed(4)
        sum(loss.total for loss in output.losses.values()).backward()
        outputs.append(output)
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    plain, recomputed = outputs
    for name, table in plain.tables.items():
        assert torch.equal(recomputed.tables[name].count_GE, table.count_GE)
        assert table.tokens_G.tolist() == [33, 37]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_a_checkpoint_gives_back_the_same_model(vocabulary, tmp_path):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    provenance = Provenance({"name": "c"}, {"name": "f"})
    save_aio(tmp_path / "model.pt", model, tiny_config(), SslModel.Config(encoder=ENCODER), vocabulary, provenance)
    loaded = load_aio(tmp_path / "model.pt")
    assert loaded.vocabulary.tokens == vocabulary.tokens
    assert loaded.provenance == provenance
    assert loaded.model.tasks == TASKS
    want, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    got, _ = loaded.model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    assert torch.equal(got, want)


def test_a_missing_damaged_or_foreign_checkpoint_is_named(vocabulary, tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(AioError, match="stage 4"):
        load_aio(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(AioError, match="cannot be read"):
        load_aio(path)
    save_aio(
        path, tiny_model(vocabulary), tiny_config(), SslModel.Config(encoder=ENCODER), vocabulary, Provenance({}, {})
    )
    with pytest.raises(AioError, match="not the checkpoint of an ssl encoder"):
        load_ssl(path)
