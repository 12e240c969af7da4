"""What the encoder is told of its features."""

import torch

from aio_toolkit.data.dataset import PretrainingDataset
from aio_toolkit.models.ssl import SslModel
from aio_toolkit.training.pretrain import set_feature_statistics


def test_latents_are_scaled_and_other_bins_are_not(tmp_path, write_dump):
    data, dump = write_dump(tmp_path)
    dataset = PretrainingDataset(data / "train", dump / "train", ["asr", "sep"])
    model = SslModel(SslModel.Config(), 12, 2, 16)
    set_feature_statistics(model, dataset, latents=5, latent_scale=0.25)
    frames = torch.cat([torch.from_numpy(dataset[i].feats_TF) for i in range(len(dataset))])
    deviation_F = model.ssl_encoder.normalise(frames).std(0)
    torch.testing.assert_close(deviation_F, torch.tensor([1.0] * 7 + [0.25] * 5), atol=1e-5, rtol=0)
