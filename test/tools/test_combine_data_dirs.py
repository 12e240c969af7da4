"""utils/combine_data_dirs.py: several data directories become one."""

import subprocess
import sys
from pathlib import Path

from aio_toolkit.data.datadir import Utterance, read_data_dir, write_data_dir

ROOT = Path(__file__).resolve().parents[2]


def combine(*arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "utils/combine_data_dirs.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def speech(name: str) -> Utterance:
    return Utterance(f"asr-{name}", "asr", "ann", f"{name}.wav", 16000, texts={"text": name.upper()}, targets={})


def test_the_joined_directory_holds_every_utterance_once(tmp_path: Path) -> None:
    first, second = [speech("b")], [speech("a"), speech("c")]
    write_data_dir(tmp_path / "first", first)
    write_data_dir(tmp_path / "second", second)
    result = combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    assert result.returncode == 0, result.stderr
    assert read_data_dir(tmp_path / "all") == sorted(first + second, key=lambda utterance: utterance.id)


def test_an_id_in_two_sources_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_data_dir(tmp_path / name, [speech("a")])
    result = combine(tmp_path / "all", tmp_path / "first", tmp_path / "second")
    assert result.returncode == 1
    assert "asr-a" in result.stderr
    assert "first" in result.stderr
    assert not (tmp_path / "all").exists()
