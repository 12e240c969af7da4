"""The E-Branchformer against ESPnet's own, row by row without padding."""

import pytest
import torch

from aio_toolkit.config import from_values
from aio_toolkit.encoders.e_branchformer import EBranchformerEncoder
from aio_toolkit.errors import AioError
from aio_toolkit.layers import valid_frames


@torch.no_grad()
def test_states_equal_those_of_espnets_own_on_each_row_alone():
    from espnet2.asr.encoder import e_branchformer_encoder

    torch.manual_seed(0)
    config = EBranchformerEncoder.Config(
        width=12, num_layers=3, num_heads=3, ffn_width=20, conv_kernel=5
    )
    encoder = EBranchformerEncoder(config).eval()
    reference = e_branchformer_encoder.EBranchformerEncoder(
        12,
        output_size=12,
        attention_heads=3,
        attention_layer_type="rel_selfattn",
        pos_enc_layer_type="rel_pos",
        rel_pos_type="latest",
        cgmlp_linear_units=20,
        cgmlp_conv_kernel=5,
        linear_units=20,
        num_blocks=3,
        input_layer=None,
        use_ffn=True,
        macaron_ffn=True,
        merge_conv_kernel=5,
        use_flash_attn=False,
    ).eval()
    reference.load_state_dict(encoder.encoder.state_dict())
    x_BTD, lengths_B = torch.randn(2, 11, 12), torch.tensor([11, 6])
    states = encoder(x_BTD, valid_frames(lengths_B, 11))
    for row, length in enumerate(lengths_B.tolist()):
        row_1TD = x_BTD[row : row + 1, :length]
        (_, own), _, _ = reference(row_1TD, torch.tensor([length]), return_all_hs=True)
        for state_BTD, own_1TD in zip(states, own, strict=True):
            torch.testing.assert_close(state_BTD[row, :length], own_1TD[0], atol=1e-5, rtol=1e-5)


def test_a_width_that_the_branch_cannot_halve_is_named():
    with pytest.raises(AioError, match="key 'ffn_width' must be .* a multiple of 2, not 3"):
        from_values(EBranchformerEncoder.Config, {"ffn_width": 3}, "train.yaml")
