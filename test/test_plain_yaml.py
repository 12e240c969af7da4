"""YAML of which nothing is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_toolkit.errors import AioError
from aio_toolkit.plain_yaml import leads_out, read_plain, write_plain

texts = st.text(st.characters(codec="utf-8", exclude_characters="$/\\:~.")).map(str)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values=st.dictionaries(texts, plain, max_size=3))
def test_plain_values_come_back_as_they_were_whatever_they_look_like(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    write_plain(path, values)
    assert read_plain(path) == values


def test_keys_keep_their_order_and_a_value_that_occurs_twice_is_written_twice(tmp_path):
    shared = [1, 2]
    write_plain(tmp_path / "a.yaml", {"z": shared, "a": shared})
    assert (tmp_path / "a.yaml").read_text() == "z:\n- 1\n- 2\na:\n- 1\n- 2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system ['touch hacked']", "is not plain YAML: .*os.system"),
        ("a: !!python/name:os.system", "is not plain YAML"),
        ("a: ${oc.env:HOME}", r"key 'a': '\${oc.env:HOME}' is looked up elsewhere"),
        ("a: {b: [x, '${c}']}", "key 'a.b.1'"),
        ("'${x}': 1", "is looked up elsewhere"),
        ("a: &x [1]\nb: [*x, *x]", "aliases"),
        ("a: /etc/passwd", "key 'a': '/etc/passwd' is a path out of the folder"),
        ("a: {b: ../c}", "key 'a.b'"),
        ("../a: 1", "path out of the folder"),
        ("[1, 2]", "holds no section of keys"),
        ("a: [", "is not plain YAML"),
        ("", "holds no section of keys"),
        ("a: 2020-13-45", "is not plain YAML"),
    ],
)
def test_what_does_not_stand_for_itself_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(AioError, match=message):
        read_plain(tmp_path / "a.yaml")
    assert not (tmp_path / "hacked").exists()


def test_bytes_that_are_no_text_and_no_file_at_all_are_told(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\x80\x04\x95")
    with pytest.raises(AioError, match="a.yaml is not plain YAML"):
        read_plain(tmp_path / "a.yaml")
    with pytest.raises(AioError, match="b.yaml does not exist"):
        read_plain(tmp_path / "b.yaml")


def test_what_would_be_refused_is_not_written(tmp_path):
    with pytest.raises(AioError, match="key 'codec': '/models/dac'"):
        write_plain(tmp_path / "a.yaml", {"codec": "/models/dac"})
    assert not (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize("name", ["a", "a/b.c", "...", "a..b", "text.fr", "speech en-fr", ""])
def test_names_below_a_folder_stay_in_it(name):
    assert not leads_out(name)


@pytest.mark.parametrize("name", ["/a", "..", "a/..", "../a", "~", "~root/a", "C:a", "a\\..\\b"])
def test_other_names_lead_out(name):
    assert leads_out(name)
