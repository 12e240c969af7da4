"""Shards: who is in which, and what joining them leaves."""

from pathlib import Path

import pytest

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.dump import shards
from aio_toolkit.dump.shards import join_shards, make_shards
from aio_toolkit.tasks import load_tasks

TASKS = load_tasks(Path(__file__).parents[2] / "egs/TEMPLATE/conf/tasks.yaml")


def utterances(count):
    """Utterances of several lengths, two of each."""
    made = []
    for n in range(count):
        samples = 100 + 37 * (n // 2 * 5 % 7)
        made.append(Utterance(f"asr-{n:04d}", TASKS["asr"], "s", f"{n}.wav", samples))
    return made


@pytest.mark.parametrize("count", [1, 8, 31, 33, 65, 500])
def test_every_utterance_is_in_one_shard(count, tmp_path):
    members = [u.id for shard in make_shards(utterances(count), tmp_path) for u in shard.utterances]
    assert sorted(members) == [u.id for u in utterances(count)]


def test_the_longest_come_first(tmp_path):
    made = make_shards(utterances(500), tmp_path)
    lengths = [u.num_samples for shard in made for u in shard.utterances]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(("count", "size"), [(8, 1), (64, 2), (65, 3), (500, 3)])
def test_a_shard_is_small_where_there_would_be_few(count, size, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 3)
    sizes = [len(shard.utterances) for shard in make_shards(utterances(count), tmp_path)]
    assert set(sizes[:-1]) == {size}
    assert 1 <= sizes[-1] <= size


def test_the_shards_are_the_same_whatever_the_order(tmp_path):
    backwards = utterances(100)[::-1]
    assert make_shards(backwards, tmp_path) == make_shards(utterances(100), tmp_path)


@pytest.fixture
def joined(tmp_path):
    """Two shards, of which one has a source that the other lacks, and what becomes of them."""
    members = utterances(2)
    folder = tmp_path / "shards"
    folder.mkdir()
    first, second = (shards.Shard(n, [members[n]], folder) for n in (0, 1))
    for name in ("codes_wav", "feats"):
        first.scp(name).write_text(f"asr-0000 {name}.ark:9\n")
        second.scp(name).write_text(f"asr-0001 {name}.ark:9\n")
    second.scp("codes_spk1").write_text("asr-0001 codes_spk1.ark:9\n")
    join_shards([second, first], members, tmp_path, hop=60)
    return tmp_path


def test_joined_lists_are_sorted_by_id(joined):
    assert (joined / "feats.scp").read_text() == "asr-0000 feats.ark:9\nasr-0001 feats.ark:9\n"


def test_a_source_of_one_shard_alone_has_a_list(joined):
    assert (joined / "codes_spk1.scp").read_text() == "asr-0001 codes_spk1.ark:9\n"


def test_frames_are_counted_from_samples(joined):
    assert (joined / "utt2num_frames").read_text() == "asr-0000 2\nasr-0001 2\n"


def test_the_list_of_features_appears_last(joined):
    paths = [joined / "utt2num_frames", *joined.glob("*.scp")]
    newest = max(paths, key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "feats.scp"
