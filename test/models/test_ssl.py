"""The model of stage 3: what encoder and objective are given, and that every objective learns."""

import dataclasses
import math

import pytest
import torch
from tiny import mels

from aio_toolkit import parts
from aio_toolkit.codec.base import CodecFingerprint
from aio_toolkit.config import Choice, load_config
from aio_toolkit.encoders.transformer import TransformerEncoder
from aio_toolkit.errors import AioError
from aio_toolkit.frontend.stack import FrontEndStack
from aio_toolkit.layers import valid_frames
from aio_toolkit.loss import Loss
from aio_toolkit.models import masking
from aio_toolkit.models.masking import SpanMasking
from aio_toolkit.models.ssl import SslEncoder, SslModel
from aio_toolkit.ssl.base import MaskedBatch
from aio_toolkit.ssl.best_rq import BestRq

KINDS = parts.kinds("ssl")
NUM_FEATURES = 10
CODEC = CodecFingerprint("tiny", "0", 16000, 320, 3, 5, 4)
ENCODER = Choice(
    "transformer", TransformerEncoder.Config(width=16, num_layers=2, num_heads=2, ffn_width=16)
)


def make_model(kind: str = "masked_codes", codec: CodecFingerprint = CODEC, **options) -> SslModel:
    torch.manual_seed(0)
    front_end = mels(NUM_FEATURES // 2)
    config = SslModel.Config(ENCODER, objective=Choice(kind), front_end=front_end, **options)
    return SslModel(config, codec)


def hear(model: SslModel, features_BTF, lengths_B, codes_BTQ) -> Loss:
    """The loss of a batch in which the front end hears these features, whatever the waves."""
    model.ssl_encoder.front_end.extract = lambda *waves: {"log_mel": features_BTF}
    num_samples = features_BTF.shape[1] * CODEC.hop
    wave_BS = torch.zeros(len(features_BTF), num_samples)
    return model(wave_BS, lengths_B * CODEC.hop, codes_BTQ)


def with_statistics(model: SslModel) -> SslModel:
    """The model with features of means and deviations that are not zero and one."""
    model.ssl_encoder.front_end.mean_F.copy_(torch.linspace(-2, 3, NUM_FEATURES))
    model.ssl_encoder.front_end.std_F.copy_(torch.linspace(0.25, 4, NUM_FEATURES))
    return model


def make_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, lengths and codes of two rows."""
    torch.manual_seed(1)
    lengths_B = torch.tensor([14, 9])
    return torch.randn(2, 14, NUM_FEATURES), lengths_B, torch.randint(5, (2, 14, 3))


def states_before_and_after(model: SslModel) -> list[torch.Tensor]:
    """The last layer's states before and after a change of the masked features, under one mask."""
    seen = []
    model.objective.loss = lambda batch: seen.append(batch) or Loss(batch.states[-1].sum())
    features_BTF, lengths_B, codes_BTQ = make_batch()
    torch.manual_seed(1)
    hear(model, features_BTF, lengths_B, codes_BTQ)
    features_BTF[seen[0].masked_BT] += 10.0
    torch.manual_seed(1)
    hear(model, features_BTF, lengths_B, codes_BTQ)
    assert torch.equal(seen[0].masked_BT, seen[1].masked_BT)
    return [batch.states[-1] for batch in seen]


@pytest.mark.parametrize("kind", KINDS)
def test_masked_features_do_not_reach_the_encoder(kind):
    before, after = states_before_and_after(make_model(kind))
    torch.testing.assert_close(after, before)


def test_masked_features_do_not_reach_the_encoder_through_a_wide_stem():
    model = make_model(stem_kernel=5)
    before, after = states_before_and_after(model)
    torch.testing.assert_close(after, before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_objective_learns_a_tone_that_rises(kind):
    """Frames follow from their neighbours, so masked ones can be told: the loss falls by 20 %."""
    model = make_model(
        kind,
        dataclasses.replace(CODEC, num_codebooks=2, codebook_size=8),
        masking=SpanMasking.Config(span=2),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(150):
        phase_BT = torch.rand(8, 1) * 8 + torch.arange(24) * 0.5
        tones = [(2 * math.pi * phase_BT * (f + 1) / 8).sin() for f in range(NUM_FEATURES)]
        codes_BTQ = torch.stack([phase_BT.long() % 8, (phase_BT / 2).long() % 8], -1)
        loss = hear(model, torch.stack(tones, -1), torch.full((8,), 24), codes_BTQ).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.objective.after_step(model.ssl_encoder)
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def even_frames(valid_BT: torch.Tensor, share: float, span: int) -> torch.Tensor:
    """In the place of `sample_spans`."""
    return valid_BT & (torch.arange(valid_BT.shape[1]) % 2 == 0)


def seen(model: SslModel, monkeypatch, batch) -> MaskedBatch:
    """What the objective is given of a batch whose even frames are masked."""
    monkeypatch.setattr(masking, "sample_spans", even_frames)
    given = []
    loss = model.objective.loss
    model.objective.loss = lambda masked: given.append(masked) or loss(masked)
    hear(model, *batch)
    return given[0]


def test_the_objective_is_given_normalised_features_codes_and_what_is_masked(monkeypatch):
    model, batch = with_statistics(make_model()), make_batch()
    feats_BTF, lengths_B, codes_BTQ = batch
    given = seen(model, monkeypatch, batch)
    front_end = model.ssl_encoder.front_end
    normalised_BTF = (feats_BTF - front_end.mean_F) / front_end.std_F
    torch.testing.assert_close(given.inputs_BTF, normalised_BTF)
    torch.testing.assert_close(given.features_BTF, normalised_BTF)
    assert torch.equal(given.codes_BTQ, codes_BTQ)
    valid_BT = valid_frames(lengths_B, feats_BTF.shape[1])
    assert torch.equal(given.valid_BT, valid_BT)
    assert torch.equal(given.masked_BT, even_frames(valid_BT, 0.5, 1))


def test_the_encoder_sees_the_learned_vector_in_place_of_masked_frames(monkeypatch):
    model, batch = with_statistics(make_model()).eval(), make_batch()
    given = seen(model, monkeypatch, batch)
    stem = model.ssl_encoder.stem(given.features_BTF, given.valid_BT)
    for b, t in given.masked_BT.nonzero().tolist():
        stem[b, t] = model.masking.embedding
    want = model.ssl_encoder.encoder(stem, given.valid_BT)
    assert len(given.states) == len(want) == 2
    for got_BTD, want_BTD in zip(given.states, want, strict=True):
        torch.testing.assert_close(got_BTD[given.valid_BT], want_BTD[given.valid_BT])


def test_the_spread_of_embeddings_is_that_of_the_last_layer_s_real_frames(monkeypatch):
    model, batch = make_model(), make_batch()
    given = seen(model, monkeypatch, batch)
    figures = hear(model, *batch).figures
    last_MD = given.states[-1][given.valid_BT].detach()
    unit_MD = last_MD / last_MD.norm(dim=1, keepdim=True) * last_MD.shape[1] ** 0.5
    want = unit_MD.std(0, unbiased=False).mean()
    torch.testing.assert_close(figures["embedding_std"], want)


def test_a_configuration_reads_as_it_is_written(tmp_path):
    path = tmp_path / "ssl.yaml"
    path.write_text(
        "encoder:\n"
        "  kind: transformer\n"
        "  transformer: {width: 8, num_heads: 2}\n"
        "  conformer: {width: 8}\n"
        "stem_kernel: 3\n"
        "objective: {kind: best_rq, best_rq: {codebook_size: 9}, contrastive: {dim: 4}}\n"
        "masking: {share: 0.4, span: 10}\n"
    )
    config = load_config(SslModel.Config, path)
    assert config.encoder == Choice("transformer", TransformerEncoder.Config(width=8, num_heads=2))
    assert config.objective == Choice("best_rq", BestRq.Config(codebook_size=9))
    assert (config.stem_kernel, config.masking) == (3, SpanMasking.Config(0.4, 10))


def test_the_encoder_keeps_its_own_part_of_the_configuration():
    encoder = make_model(stem_kernel=3, masking=SpanMasking.Config(span=2)).ssl_encoder
    assert encoder.config == SslEncoder.Config(ENCODER, 3, mels(NUM_FEATURES // 2))
    assert encoder.width == 16


def test_an_unknown_encoder_is_named_with_the_known_ones():
    with pytest.raises(AioError, match="encoders: unknown kind 'mamba'.*Known kinds: conformer"):
        SslEncoder(SslEncoder.Config(Choice("mamba")), CODEC.grid)


def test_the_encoder_of_stage_3_comes_back_as_it_was(tmp_path):
    from aio_toolkit.models.checkpoint import LoadedSsl, load_ssl

    encoder = with_statistics(make_model(stem_kernel=3)).ssl_encoder.eval()
    saved = LoadedSsl(encoder, CODEC)
    saved.save(tmp_path / "model.pt")
    loaded = load_ssl(tmp_path / "model.pt")
    assert (loaded.encoder.config, loaded.codec) == (encoder.config, CODEC)
    feats_BTF, lengths_B, _ = make_batch()
    normalised_BTF = encoder.front_end({"log_mel": feats_BTF})
    assert torch.equal(loaded.encoder.front_end({"log_mel": feats_BTF}), normalised_BTF)
    got = loaded.encoder(normalised_BTF, lengths_B)
    for got_BTD, want_BTD in zip(got, encoder(normalised_BTF, lengths_B), strict=True):
        assert torch.equal(got_BTD, want_BTD)


def test_only_targets_of_the_front_end_are_predicted():
    """The encoder hears the spectrum too, of which the objective knows nothing."""
    front_end = FrontEndStack.Config(["stft", "log_mel"])
    config = SslModel.Config(ENCODER, front_end=front_end, objective=Choice("best_rq"))
    model, given = SslModel(config, CODEC), []
    loss = model.objective.loss
    model.objective.loss = lambda batch: given.append(batch) or loss(batch)
    model(torch.randn(1, 900), torch.tensor([900]))
    [batch] = given
    assert batch.inputs_BTF.shape[-1] == 2 * 257 * 2 + 160
    assert torch.equal(batch.features_BTF, batch.inputs_BTF[..., -160:])


def test_targets_that_the_encoder_does_not_hear_are_refused():
    with pytest.raises(AioError, match="model.targets.*no front end 'stft'.*Parts: log_mel"):
        make_model(targets=["stft"])


def test_an_encoder_that_hears_nothing_is_refused():
    with pytest.raises(AioError, match="front_end.parts is empty.*codec_latents, log_mel, stft"):
        SslEncoder(SslEncoder.Config(ENCODER, front_end=FrontEndStack.Config([])), CODEC.grid)
