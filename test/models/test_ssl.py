"""The model of stage 3: what the encoder is shown, and what comes back from disk."""

import torch
from tiny import ENCODER, NUM_FEATURES, tiny_batch, tiny_ssl, tiny_ssl_config

from aio_toolkit.encoders.base import valid_frames
from aio_toolkit.models.checkpoint import Provenance, load_ssl, save_ssl
from aio_toolkit.ssl import masking


def with_statistics(model):
    """The model with features of means and deviations that are not zero and one."""
    model.ssl_encoder.mean_F.copy_(torch.linspace(-2, 3, NUM_FEATURES))
    model.ssl_encoder.std_F.copy_(torch.linspace(0.25, 4, NUM_FEATURES))
    return model


def even_frames(valid_BT: torch.Tensor, mask_share: float, span: int) -> torch.Tensor:
    """In the place of `sample_spans`."""
    return valid_BT & (torch.arange(valid_BT.shape[1]) % 2 == 0)


def seen(model, monkeypatch, batch):
    """What the objective is given of a batch whose even frames are masked."""
    monkeypatch.setattr(masking, "sample_spans", even_frames)
    given = []
    loss = model.objective.loss
    model.objective.loss = lambda masked: given.append(masked) or loss(masked)
    model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
    return given[0]


def test_the_objective_is_given_normalised_features_codes_and_what_is_masked(monkeypatch):
    model, batch = with_statistics(tiny_ssl()), tiny_batch()
    given = seen(model, monkeypatch, batch)
    encoder = model.ssl_encoder
    normalised_BTF = (batch.feats_BTF - encoder.mean_F) / encoder.std_F
    torch.testing.assert_close(given.features_BTF, normalised_BTF)
    assert torch.equal(given.codes_BTQ, batch.codes_BTQ)
    valid_BT = valid_frames(batch.lengths_B, batch.feats_BTF.shape[1])
    assert torch.equal(given.valid_BT, valid_BT)
    assert torch.equal(given.hidden_BT, even_frames(valid_BT, 0.5, 1))


def test_the_encoder_sees_the_learned_vector_in_place_of_masked_frames(monkeypatch):
    model, batch = with_statistics(tiny_ssl()).eval(), tiny_batch()
    given = seen(model, monkeypatch, batch)
    stem = model.ssl_encoder.stem(given.features_BTF, given.valid_BT)
    for b, t in given.hidden_BT.nonzero().tolist():
        stem[b, t] = model.masking.embedding
    want = model.ssl_encoder.encoder(stem, given.valid_BT)
    assert len(given.states) == len(want) == ENCODER.num_layers
    for got_BTD, want_BTD in zip(given.states, want, strict=True):
        torch.testing.assert_close(got_BTD[given.valid_BT], want_BTD[given.valid_BT])


def test_the_spread_of_embeddings_is_that_of_the_last_layer_s_real_frames(monkeypatch):
    model, batch = tiny_ssl(), tiny_batch()
    given = seen(model, monkeypatch, batch)
    _, figures = model(batch.feats_BTF, batch.lengths_B, batch.codes_BTQ)
    last_MD = given.states[-1][given.valid_BT].detach()
    unit_MD = last_MD / last_MD.norm(dim=1, keepdim=True) * last_MD.shape[1] ** 0.5
    want = unit_MD.std(0, unbiased=False).mean()
    torch.testing.assert_close(figures["embedding_std"], want)


def test_the_encoder_of_stage_3_comes_back_as_it_was(tmp_path):
    model, batch = with_statistics(tiny_ssl()).eval(), tiny_batch()
    config = tiny_ssl_config(span=3)
    provenance = Provenance({"name": "codec"}, {"hop": 320})
    save_ssl(tmp_path / "model.pt", model, config, provenance)
    encoder, of_config, origin = load_ssl(tmp_path / "model.pt")
    assert (of_config, origin) == (config, provenance)
    normalised_BTF = model.ssl_encoder.normalise(batch.feats_BTF)
    assert torch.equal(encoder.normalise(batch.feats_BTF), normalised_BTF)
    got = encoder(normalised_BTF, batch.lengths_B)
    want = model.ssl_encoder(normalised_BTF, batch.lengths_B)
    for got_BTD, want_BTD in zip(got, want, strict=True):
        assert torch.equal(got_BTD, want_BTD)
