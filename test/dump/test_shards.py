"""Shards: who is in which, and what joining them leaves."""

from pathlib import Path

import pytest
from tiny import ALL

from aio_toolkit.data.datadir import Utterance
from aio_toolkit.dump import shards
from aio_toolkit.dump.arks import read_places
from aio_toolkit.dump.shards import Part, clean_up, join_shards, make_shards, read_made


def utterances(count: int) -> list[Utterance]:
    """Utterances of several lengths, two of each."""
    made = []
    for n in range(count):
        samples = 100 + 37 * (n // 2 * 5 % 7)
        made.append(Utterance(f"asr-{n:04d}", ALL["asr"], "s", f"{n}.wav", samples))
    return made


def shards_of(members: list[Utterance], folder: Path, version: str = "1", part=Part.input):
    return make_shards(part, members, dict.fromkeys((u.id for u in members), version), folder)


@pytest.mark.parametrize("count", [0, 1, 8, 31, 33, 65, 500])
def test_every_utterance_is_in_one_shard(count, tmp_path):
    made = shards_of(utterances(count), tmp_path)
    members = [u.id for shard in made for u in shard.utterances]
    assert sorted(members) == [u.id for u in utterances(count)]
    assert len({shard.key for shard in made}) == len(made)


def test_the_longest_come_first(tmp_path):
    made = shards_of(utterances(500), tmp_path)
    lengths = [u.num_samples for shard in made for u in shard.utterances]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(("count", "size"), [(8, 1), (64, 2), (65, 3), (500, 3)])
def test_a_shard_is_small_where_there_would_be_few(count, size, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 3)
    sizes = [len(shard.utterances) for shard in shards_of(utterances(count), tmp_path)]
    assert set(sizes[:-1]) == {size}
    assert 1 <= sizes[-1] <= size


def test_the_shards_are_the_same_whatever_the_order(tmp_path):
    assert shards_of(utterances(100)[::-1], tmp_path) == shards_of(utterances(100), tmp_path)


def test_a_shard_is_told_from_one_of_another_part_or_of_other_waves(tmp_path):
    members = utterances(1)
    kinds = [("1", Part.input), ("2", Part.input), ("1", Part.sources)]
    keys = {shards_of(members, tmp_path, *kind)[0].key for kind in kinds}
    assert len(keys) == 3


def finish(shard, names: list[str]) -> None:
    for name in names:
        lines = [
            f"{u.id} {shard.folder}/codes_{name}.{shard.key}.ark:9\n" for u in shard.utterances
        ]
        shard.scp(name).write_text("".join(lines))
        shard.scp(name).with_suffix(".ark").touch()


@pytest.fixture
def dump(tmp_path) -> Path:
    (tmp_path / "arks").mkdir()
    return tmp_path


def test_joining_adds_what_is_new_drops_what_is_gone_and_leaves_the_rest(dump):
    members = utterances(4)
    old = shards_of(members[:3], dump / "arks")
    for shard in old:
        finish(shard, ["wav"])
    join_shards(Part.input, old, dict.fromkeys((u.id for u in members[:3]), "1"), dump)
    before = read_places(dump / "codes_wav.scp")
    assert sorted(before) == [u.id for u in members[:3]]

    # The second has changed, the third is gone, the fourth is new.
    now = {members[0].id: "1", members[1].id: "2", members[3].id: "1"}
    anew = make_shards(Part.input, [members[1], members[3]], now, dump / "arks")
    for shard in anew:
        finish(shard, ["wav"])
    join_shards(Part.input, anew, now, dump)
    after = read_places(dump / "codes_wav.scp")
    assert list(after) == sorted(now)
    assert after[members[0].id] == before[members[0].id]
    assert after[members[1].id] != before[members[1].id]
    assert read_made(dump, Part.input) == now

    clean_up(dump / "arks", dump)
    left = {path.name for path in (dump / "arks").iterdir()}
    assert left == {Path(place.split(":")[0]).name for place in after.values()}


def test_the_parts_of_a_dump_do_not_touch_each_other(dump):
    members = utterances(2)
    for part, names in ((Part.input, ["wav"]), (Part.sources, ["spk1", "spk2"])):
        made = shards_of(members, dump / "arks", part=part)
        for shard in made:
            finish(shard, names)
        join_shards(part, made, dict.fromkeys((u.id for u in members), "1"), dump)
    join_shards(Part.sources, [], {}, dump)
    assert [path.name for path in dump.glob("codes_*.scp")] == ["codes_wav.scp"]
    assert (read_made(dump, Part.sources), len(read_made(dump, Part.input))) == ({}, 2)
