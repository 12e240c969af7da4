"""What several tests share: a tiny vocabulary, a tiny model, a dump of random features."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real recordings, where the machine has them."""
    path = Path(os.environ.get("AIO_REALDATA", REPO.parent / "shared" / "realdata"))
    if not path.is_dir():
        pytest.skip(f"real recordings are not at {path} (set AIO_REALDATA)")
    return path


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory):
    """A SentencePiece model of a few sentences."""
    from aio_toolkit.text import train_vocabulary

    words = ["red", "blue", "cat", "dog", "sees", "hears", "chat", "chien", "voit", "entend"]
    sentences = [f"{a} {b} {c}" for a in words for b in words for c in words]
    return train_vocabulary(sentences, 40, tmp_path_factory.mktemp("token"))


def _write_dump(root: Path, splits=("train", "dev"), num=6, num_features=12, Q=2, V=16) -> tuple[Path, Path]:
    """Data dirs and dumps of random features and codes for `asr` and `sep`; returns (data, dump)."""
    from aio_toolkit.data.arks import write_ark
    from aio_toolkit.data.datadir import Utterance, write_data_dir

    rng = np.random.default_rng(0)
    for split in splits:
        utterances, arks = [], {name: {} for name in ("feats", "codes_wav", "codes_spk1", "codes_spk2")}
        for index in range(num):
            T = int(rng.integers(20, 30))
            for task in ("asr", "sep"):
                key = f"{task}-{split}-{index}"
                targets = {"spk1": "none.wav", "spk2": "none.wav"} if task == "sep" else {}
                texts = {"text": "red cat sees dog"} if task == "asr" else {}
                utterances.append(Utterance(key, task, f"s{index}", "none.wav", T * 320, texts, targets))
                arks["feats"][key] = rng.standard_normal((T, num_features)).astype(np.float32)
                arks["codes_wav"][key] = rng.integers(0, V, (T, Q))
                for target in targets:
                    arks[f"codes_{target}"][key] = rng.integers(0, V, (T, Q))
        write_data_dir(root / "data" / split, utterances)
        dump = root / "dump" / split
        dump.mkdir(parents=True)
        for name, arrays in arks.items():
            write_ark(dump / f"{name}.ark", dump / f"{name}.scp", arrays)
        frames = {key: len(feats) for key, feats in arks["feats"].items()}
        (dump / "utt2num_frames").write_text("".join(f"{key} {T}\n" for key, T in frames.items()))
        codec = {"name": "random", "sample_rate": 16000, "hop": 320, "num_codebooks": Q, "codebook_size": V}
        (dump / "codec.json").write_text(json.dumps(codec))
        (dump / "frontend.json").write_text(json.dumps({"name": "random"}))
    return root / "data", root / "dump"


@pytest.fixture
def write_dump():
    """The function that makes data dirs and dumps of random features."""
    return _write_dump
