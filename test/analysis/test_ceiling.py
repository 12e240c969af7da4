"""The ceiling of a codec against the same steps by hand."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import ALL

from aio_toolkit.analysis.ceiling import Ceiling
from aio_toolkit.analysis.ceiling_report import CeilingResults
from aio_toolkit.bin import ceiling as command
from aio_toolkit.codec.dac import Dac
from aio_toolkit.codec.dac_model import build_dac, save_dac
from aio_toolkit.codec.losses import MultiScaleMelLoss
from aio_toolkit.data.audio import read_audio
from aio_toolkit.data.datadir import Utterance, write_data_dir
from aio_toolkit.data.wav_writer import write_wav
from aio_toolkit.errors import AioError
from aio_toolkit.files import read_json
from aio_toolkit.masks import WienerFilter, wiener
from aio_toolkit.scoring.oracles import ideal_mask
from aio_toolkit.scoring.separation import CEILING_DB, FLOOR_DB

RATE = 16000
# Nothing of the filter is as it is by default.
FILTER = WienerFilter.Config(window=256, power=1.5, detail=0.3)
ROWS = [
    "mixture",
    "1 codebooks",
    "2 codebooks",
    "3 codebooks",
    "latents",
    "wiener",
    "ideal mask",
]


@pytest.fixture(scope="module")
def codec_path(tmp_path_factory) -> str:
    """A codec of three codebooks with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("codec")
    config = Dac.Config(RATE, 4, [8, 5, 4, 2], 6, 16, [2, 4, 5, 8], 3, 8, 4)
    save_dac(folder, build_dac(config), config)
    return str(folder)


def make_utterance(folder, key: str, waves: dict[str, np.ndarray]) -> Utterance:
    """The mixture is the sum of the waves; `noise` is left to be the residual."""
    paths = {name: str(folder / f"{key}_{name}.wav") for name in waves}
    for name, path in paths.items():
        write_wav(path, waves[name], RATE, subtype="FLOAT")
    mixture_S = sum(waves.values())
    mixture = str(folder / f"{key}_mixture.wav")
    write_wav(mixture, mixture_S, RATE, subtype="FLOAT")
    targets = {name: path for name, path in paths.items() if name != "noise"}
    return Utterance(key, ALL[key.split("-")[0]], "s", mixture, len(mixture_S), targets)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two mixtures of two voices (one silent), noisy speech, an utterance without audio targets."""
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)

    def noise(size: int) -> np.ndarray:
        return 0.05 * rng.standard_normal(size)

    sep0 = make_utterance(folder, "sep-0", {"spk1": noise(1000), "spk2": noise(1000)})
    sep1 = make_utterance(folder, "sep-1", {"spk1": noise(1077), "spk2": np.zeros(1077)})
    enh = make_utterance(folder, "enh-0", {"speech": noise(1000), "noise": noise(1000) / 2})
    asr = Utterance("asr-0", ALL["asr"], "s", sep0.wav, 1000, {"text": "a"})
    write_data_dir(folder / "data", [sep0, sep1, enh, asr], ALL)
    return folder / "data", {u.id: u for u in (sep0, sep1, enh)}


def measure(codec_path: str, data: Path, num_jobs: int = 1, **options) -> CeilingResults:
    ceiling = Ceiling(Ceiling.Config(codec_path, wiener=FILTER, **options))
    return ceiling.measure(data, ALL, num_jobs)


@pytest.fixture(scope="module")
def results(codec_path, corpus) -> CeilingResults:
    return measure(codec_path, corpus[0])


# --- the rows ---


def sources_of(utterance: Utterance) -> torch.Tensor:
    """Targets (N, S), then the residual of enhancement."""
    waves = [read_audio(path, RATE) for path in utterance.answers.values()]
    if utterance.task.name == "enh":
        waves.append(read_audio(utterance.wav, RATE) - waves[0])
    return torch.from_numpy(np.stack(waves))


def through_codec(codec: Dac, source_NS: torch.Tensor, count: int) -> torch.Tensor:
    coded = [codec.encode(source_S[None], num_codebooks=count).codes_BTQ for source_S in source_NS]
    return torch.cat([codec.decode(codes_1TQ) for codes_1TQ in coded])[:, : source_NS.shape[1]]


def estimates_of(codec: Dac, utterance: Utterance) -> dict[str, torch.Tensor]:
    """What every row of the table is about."""
    mixture_S = torch.from_numpy(read_audio(utterance.wav, RATE))
    source_NS = sources_of(utterance)
    coded_NS = through_codec(codec, source_NS, 3)
    latents_BTC = codec.encode(source_NS).latents_BTC
    return {
        "mixture": mixture_S.expand_as(source_NS),
        "1 codebooks": through_codec(codec, source_NS, 1),
        "2 codebooks": through_codec(codec, source_NS, 2),
        "3 codebooks": coded_NS,
        "latents": codec.decode_latents(latents_BTC)[:, : len(mixture_S)],
        "wiener": wiener(mixture_S, coded_NS, 256, 1.5, 0.3),
        "ideal mask": torch.from_numpy(ideal_mask(mixture_S.numpy(), source_NS.numpy(), 320)),
    }


def si_sdr(estimate_S: torch.Tensor, reference_S: torch.Tensor) -> float:
    estimate_S, reference_S = estimate_S.double(), reference_S.double()
    target_S = estimate_S @ reference_S / (reference_S @ reference_S) * reference_S
    error = (estimate_S - target_S).square().sum()
    ratio = target_S.square().sum() / error.clamp_min(1e-30)
    return float(np.clip(10 * ratio.log10(), FLOOR_DB, CEILING_DB))


@pytest.fixture(scope="module")
def by_hand(codec_path, corpus):
    """The function that scores a row of an utterance: the mean over targets that can be heard."""
    codec, utterances = Dac.load(codec_path), corpus[1]
    estimates = {key: estimates_of(codec, utterance) for key, utterance in utterances.items()}

    def mean_score(key: str, row: str, score: Callable) -> float:
        targets = sources_of(utterances[key])[: len(utterances[key].answers)]
        pairs = zip(estimates[key][row], targets, strict=False)
        return np.mean([score(*pair) for pair in pairs if pair[1].abs().max() > 0])

    return mean_score


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_what_is_left_of_the_audible_targets(results, by_hand, row):
    for task, keys in (("sep", ("sep-0", "sep-1")), ("enh", ("enh-0",))):
        interval = results.tasks[task][row].si_sdr
        want = np.mean([by_hand(key, row, si_sdr) for key in keys])
        assert interval.value == pytest.approx(want, abs=0.05)
        assert interval.n == len(keys)


@pytest.mark.parametrize("row", ["mixture", "2 codebooks", "ideal mask"])
def test_its_mel_distance_is_the_codec_loss(results, by_hand, row):
    loss = MultiScaleMelLoss(RATE)

    def distance(estimate_S, source_S):
        return loss(estimate_S[None], source_S[None]).item()

    want = np.mean([by_hand(key, row, distance) for key in ("sep-0", "sep-1")])
    assert results.tasks["sep"][row].mel.value == pytest.approx(want, abs=1e-3)


def test_rows_stand_from_the_mixture_to_the_ideal_mask(results):
    assert list(results.tasks) == ["sep", "enh"]
    assert list(results.tasks["sep"]) == ROWS


def test_an_utterance_of_silence_does_not_count(codec_path, tmp_path):
    rng = np.random.default_rng(0)
    silent = make_utterance(tmp_path, "sep-0", {"spk1": np.zeros(999), "spk2": np.zeros(999)})
    loud = make_utterance(tmp_path, "sep-1", dict(spk1=rng.random(999), spk2=rng.random(999)))
    write_data_dir(tmp_path / "both", [silent, loud], ALL)
    write_data_dir(tmp_path / "loud", [loud], ALL)
    both, alone = (
        measure(codec_path, tmp_path / name, codebooks=[1]).tasks for name in ("both", "loud")
    )
    assert both == alone
    assert both["sep"]["wiener"].si_sdr.n == both["sep"]["wiener"].mel.n == 1


# --- the use of codebooks ---


def test_the_use_of_codebooks_is_counted_over_the_sources_of_all_utterances(
    codec_path, corpus, results
):
    codec = Dac.load(codec_path)
    waves = [source_S for u in corpus[1].values() for source_S in sources_of(u)]
    codes_NQ = torch.cat([codec.encode(wave_S[None]).codes_BTQ[0] for wave_S in waves]).numpy()
    use = results.codebooks
    for q, (entropy, used) in enumerate(zip(use.entropy, use.used, strict=True)):
        _, counts = np.unique(codes_NQ[:, q], return_counts=True)
        share = counts / counts.sum()
        assert entropy == pytest.approx(-(share * np.log(share)).sum() / np.log(8), abs=1e-5)
        assert used == pytest.approx(len(counts) / 8)


# --- options ---


def test_codebooks_and_utterances_can_be_chosen(codec_path, corpus, by_hand):
    sep = measure(codec_path, corpus[0], codebooks=[2], max_utts=1).tasks["sep"]
    assert [row for row in sep if "codebooks" in row] == ["2 codebooks"]
    want = by_hand("sep-0", "2 codebooks", si_sdr)
    assert sep["2 codebooks"].si_sdr.value == pytest.approx(want, abs=0.05)
    assert sep["2 codebooks"].si_sdr.n == 1


def test_the_limit_of_utterances_holds_for_each_task(codec_path, corpus):
    tasks = measure(codec_path, corpus[0], codebooks=[1], max_utts=1).tasks
    assert {name: rows["mixture"].si_sdr.n for name, rows in tasks.items()} == {"sep": 1, "enh": 1}


def test_tasks_come_in_the_order_of_their_file(codec_path, corpus):
    ceiling = Ceiling(Ceiling.Config(codec_path, codebooks=[1], max_utts=1))
    backwards = {name: ALL[name] for name in ("enh", "asr", "sep")}
    assert list(ceiling.measure(corpus[0], backwards).tasks) == ["enh", "sep"]


@pytest.mark.slow
def test_processes_do_not_change_the_result(codec_path, corpus, results):
    again = measure(codec_path, corpus[0], num_jobs=2)
    for row, quality in results.tasks["sep"].items():
        value = again.tasks["sep"][row].si_sdr.value
        assert quality.si_sdr.value == pytest.approx(value, abs=1e-2)


@pytest.mark.parametrize("count", [0, 4])
def test_codebooks_that_are_not_there_are_refused(codec_path, count):
    message = f"has 3 codebooks; key 'codebooks' asks for {count}. Give numbers from 1 to 3"
    with pytest.raises(AioError, match=message):
        Ceiling(Ceiling.Config(codec_path, codebooks=[1, count]))


def test_a_limit_of_no_utterances_is_refused(codec_path):
    with pytest.raises(AioError, match="key 'max_utts' is 0. Give one utterance at least"):
        Ceiling(Ceiling.Config(codec_path, max_utts=0))


def test_a_data_dir_without_audio_tasks_is_refused(codec_path, tmp_path):
    text = Utterance("asr-0", ALL["asr"], "s", "none.wav", 1000, {"text": "a"})
    write_data_dir(tmp_path / "text", [text], ALL)
    with pytest.raises(AioError, match="has no utterance of an audio task"):
        measure(codec_path, tmp_path / "text")


# --- the command ---


@pytest.fixture
def call(codec_path, corpus, tmp_path, monkeypatch):
    """The function that runs the command with some settings, and returns the folder it wrote."""

    def run(*settings: str) -> Path:
        tasks = Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml"
        line = f"ceiling --codec {codec_path} --data {corpus[0]} --tasks_config {tasks}"
        line += f" --out {tmp_path / 'out'} --set"
        monkeypatch.setattr(sys, "argv", [*line.split(), *settings])
        command.main()
        return tmp_path / "out"

    return run


def test_the_command_prints_and_writes_what_was_measured(call, capsys, codec_path, results):
    options = [f"wiener.{name}={value}" for name, value in vars(FILTER).items()]
    out = call("codebooks=[2]", *options)
    content = read_json(out / "ceiling.json")
    assert (content["codec"], content["masks"]) == (codec_path, vars(FILTER))
    value = content["tasks"]["sep"]["wiener"]["si_sdr"]["value"]
    assert value == results.tasks["sep"]["wiener"].si_sdr.value
    assert capsys.readouterr().out in (out / "CEILING.md").read_text()


def test_the_command_names_an_unknown_setting(call):
    with pytest.raises(SystemExit, match="unknown key 'codebook'. Did you mean 'codebooks'?"):
        call("codebook=[2]")
