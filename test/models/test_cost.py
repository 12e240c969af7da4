"""What a training took comes back from its folder."""

from aio_toolkit.models.cost import COST, Cost

TOOK = Cost(9, 61.5, 30.0, 1000, 400)


def test_it_is_read_as_it_was_written(tmp_path):
    TOOK.write(tmp_path)
    assert Cost.read(tmp_path) == TOOK


def test_where_nobody_told_it_is_none(tmp_path):
    assert Cost.read(tmp_path) is None
    TOOK.write(tmp_path)
    (tmp_path / COST).unlink()
    assert Cost.read(tmp_path) is None
