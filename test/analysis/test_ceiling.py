"""The ceiling of a codec against the same steps by hand."""

import numpy as np
import pytest
import torch

from aio_toolkit.analysis.ceiling import format_ceiling, measure_ceiling
from aio_toolkit.codec.dac import DacCodec, DacConfig, build_dac, save_dac
from aio_toolkit.data.audio import read_audio, write_wav
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.decoding.config import AudioConfig
from aio_toolkit.errors import AioError
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB


@pytest.fixture
def setup(tmp_path):
    """A codec with random weights, two mixtures of two sources (one silent), one utterance without audio targets."""
    torch.manual_seed(0)
    config = DacConfig(16000, 4, [8, 5, 4, 2], 6, 16, [2, 4, 5, 8], 3, 8, 4)
    save_dac(tmp_path / "codec", build_dac(config), config)
    rng = np.random.default_rng(0)
    utterances = []
    for n in range(2):
        sources = rng.standard_normal((2, 1000 + 77 * n)) * 0.05
        if n == 1:
            sources[1] = 0.0
        paths = {}
        for name, wave in (("spk1", sources[0]), ("spk2", sources[1]), ("mix", sources.sum(0))):
            paths[name] = str(tmp_path / f"{n}_{name}.wav")
            write_wav(paths[name], wave, 16000, subtype="FLOAT")
        mix = paths.pop("mix")
        utterances.append(Utterance(f"sep-{n}", "sep", "s", mix, sources.shape[1], {}, paths))
    utterances.append(Utterance("asr-0", "asr", "s", utterances[0].wav, 1000, {"text": "a"}, {}))
    write_data_dir(tmp_path / "data", utterances)
    return str(tmp_path / "codec"), tmp_path / "data", utterances


def si_sdr(estimate, reference):
    scale = estimate @ reference / (reference @ reference)
    noise = np.sum((estimate - scale * reference) ** 2)
    return 10 * np.log10(np.sum((scale * reference) ** 2) / noise) if noise > 0 else CEILING_DB


def test_rows_are_what_the_codec_leaves_of_the_audible_targets(setup):
    codec_path, data, utterances = setup
    rows = measure_ceiling(codec_path, data, AudioConfig())["tasks"]["sep"]
    assert list(rows) == [
        "mixture",
        *(f"{q} codebooks" for q in (1, 2, 3)),
        "latents",
        "masks",
        "wiener",
        "ideal mask",
    ]
    codec = DacCodec.load(codec_path)

    def expected(make):
        scores = []
        for utterance, audible in zip(utterances, (("spk1", "spk2"), ("spk1",)), strict=False):
            waves = [read_audio(utterance.targets[name], 16000).astype(float) for name in audible]
            scores.append(np.mean([max(FLOOR_DB, si_sdr(make(wave, utterance), wave)) for wave in waves]))
        return np.mean(scores)

    def coded(wave, count):
        codes = codec.encode(torch.from_numpy(wave).float()[None], num_codebooks=count).codes_BTQ
        return codec.decode(codes)[0, : len(wave)].numpy().astype(float)

    for count in (1, 3):
        want = expected(lambda wave, _, count=count: coded(wave, count))
        assert rows[f"{count} codebooks"]["si_sdr"]["value"] == pytest.approx(want, abs=0.05)
    want = expected(lambda _, utterance: read_audio(utterance.wav, 16000).astype(float))
    assert rows["mixture"]["si_sdr"]["value"] == pytest.approx(want, abs=0.05)
    assert rows["ideal mask"]["si_sdr"]["value"] > rows["mixture"]["si_sdr"]["value"]
    assert rows["ideal mask"]["mel"]["value"] < rows["mixture"]["mel"]["value"]


def test_the_use_of_codebooks_is_counted_over_the_sources_of_all_utterances(setup):
    codec_path, data, utterances = setup
    results = measure_ceiling(codec_path, data, AudioConfig(), codebooks=[3])
    codec = DacCodec.load(codec_path)
    waves = [torch.from_numpy(read_audio(wav, 16000)) for u in utterances[:2] for wav in u.targets.values()]
    codes_NQ = torch.cat([codec.encode(wave[None]).codes_BTQ[0] for wave in waves]).numpy()
    for q, (entropy, used) in enumerate(zip(*results["codebooks"].values(), strict=True)):
        _, counts = np.unique(codes_NQ[:, q], return_counts=True)
        share = counts / counts.sum()
        assert entropy == pytest.approx(-(share * np.log(share)).sum() / np.log(8), abs=1e-5)
        assert used == pytest.approx(len(counts) / 8)
    entropies = results["codebooks"]["entropy"]
    assert f"{100 * np.mean(entropies):.1f} % of the possible entropy" in format_ceiling(results)
    assert f"the least of them {100 * min(entropies):.1f} %" in format_ceiling(results)


def test_processes_do_not_change_the_result_and_the_table_shows_it(setup):
    codec_path, data, _ = setup
    one = measure_ceiling(codec_path, data, AudioConfig(), codebooks=[3])
    two = measure_ceiling(codec_path, data, AudioConfig(), codebooks=[3], num_jobs=2)
    for key, figures in one["tasks"]["sep"].items():
        assert figures["si_sdr"]["value"] == pytest.approx(two["tasks"]["sep"][key]["si_sdr"]["value"], abs=1e-2)
    assert "| 3 codebooks" in format_ceiling(one)
    assert one["tasks"]["sep"]["mixture"]["si_sdr"]["n"] == 2


def test_more_codebooks_than_there_are_are_refused(setup):
    with pytest.raises(AioError, match="has 3 codebooks"):
        measure_ceiling(setup[0], setup[1], AudioConfig(), codebooks=[4])


def test_a_data_dir_without_audio_tasks_is_refused(setup, tmp_path):
    write_data_dir(tmp_path / "text", setup[2][2:])
    with pytest.raises(AioError, match="audio task"):
        measure_ceiling(setup[0], tmp_path / "text", AudioConfig())
