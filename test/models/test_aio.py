"""The whole model: frozen parts stay frozen, tasks do not leak, the dense twin has no experts."""

import pytest
import torch

from aio_toolkit.data.batch import Batch
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.errors import AioError
from aio_toolkit.heads.codes import CodesHead
from aio_toolkit.heads.text import TextHead
from aio_toolkit.models.aio import AioModel
from aio_toolkit.models.backbone import Backbone
from aio_toolkit.models.checkpoint import Provenance, load_aio, load_ssl, save_aio
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.moe.layer import MoELayer

TASKS = ["asr", "sep"]
ENCODER = TransformerEncoder.Config(width=16, num_layers=2, num_heads=2, hidden=16)


def tiny_config(num_experts: int = 4) -> AioModel.Config:
    moe = MoELayer.Config(num_experts=num_experts, top_k=2, expert_hidden=16)
    return AioModel.Config(
        Backbone.Config(width=16, num_layers=2, num_heads=2, hidden=32, conv_kernel=3, moe=moe),
        TextHead.Config(num_layers=1, num_heads=2, hidden=16),
        CodesHead.Config(hidden=16),
    )


def tiny_model(vocabulary, num_experts: int = 4) -> AioModel:
    torch.manual_seed(0)
    return AioModel(tiny_config(num_experts), TASKS, SslEncoder(ENCODER, 12), vocabulary, torch.randn(2, 9, 4))


def tiny_batch() -> Batch:
    torch.manual_seed(1)
    lengths_B = torch.tensor([20, 13, 17, 20])
    targets = {"asr": torch.randint(1, 20, (2, 4)), "sep": torch.randint(9, (2, 2, 20, 2))}
    rows = {"asr": slice(0, 2), "sep": slice(2, 4)}
    return Batch(list("abcd"), torch.tensor([0, 0, 1, 1]), torch.randn(4, 20, 12), lengths_B, None, rows, targets)


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


def test_the_dense_twin_has_no_experts_and_as_many_active_parameters(vocabulary):
    moe, dense = tiny_model(vocabulary, 4), tiny_model(vocabulary, 0)
    assert dense(tiny_batch()).tables == []
    layer = moe.backbone.blocks[1].moe
    active = 2 * (layer.experts.w1_EDH[0].numel() + layer.experts.w2_EHD[0].numel())
    feed_forward = dense.backbone.blocks[1].feed_forward
    assert active == feed_forward.w1.weight.numel() + feed_forward.w2.weight.numel()


def test_a_checkpoint_gives_back_the_same_model(vocabulary, tmp_path):
    model, batch = tiny_model(vocabulary).eval(), tiny_batch()
    provenance = Provenance({"name": "c"}, {"name": "f"})
    save_aio(tmp_path / "model.pt", model, tiny_config(), SslModel.Config(encoder=ENCODER), vocabulary, provenance)
    loaded, loaded_vocabulary, loaded_provenance = load_aio(tmp_path / "model.pt")
    assert loaded_vocabulary.tokens == vocabulary.tokens
    assert loaded_provenance == provenance
    assert loaded.tasks == TASKS
    want, _ = model.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
    got, _ = loaded.encode(batch.feats_BTF, batch.lengths_B, batch.task_B)
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
