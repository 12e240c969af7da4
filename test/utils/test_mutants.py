"""utils/mutants.py: places are found by their syntax, broken in copies, and tests are asked."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "utils"))

from mutants import format_report  # noqa: E402
from mutants_judge import (  # noqa: E402
    Trial,
    copy_repository,
    judge,
    mirrored_tests,
    run_all,
)
from mutants_tree import Mutant, MutantError, load_mutants, mutate, mutated_source  # noqa: E402

SOURCE = '''
"""A module."""

LIMIT = 3


def mean(values, weight):
    """Weighted mean."""
    total = sum(values).detach()  # a comment
    total = total * weight
    return (total
            / (len(values) + 1e-6))


class Scale:
    """Twice."""

    def scale(self, x):
        def twice(x):
            return x + x

        return twice(x) + mean(x, 1)
'''


def broken(old: str, new: str, function: str = "", **options) -> str:
    return mutate(SOURCE, Mutant("it", "a/b.py", old, new, function, **options))


def changed_lines(source: str) -> list[tuple[str, str]]:
    """Lines that differ from the unbroken module, both without comments and formatting."""
    plain = mutate(SOURCE, Mutant("it", "a/b.py", "LIMIT = 3", "LIMIT = 3"))
    pairs = zip(plain.splitlines(), source.splitlines(), strict=True)
    return [(before.strip(), after.strip()) for before, after in pairs if before != after]


def test_an_expression_is_found_whatever_its_formatting_is():
    got = broken("total/(len( values ) + 1e-6)", "total / len(values)", "mean")
    want = ("return total / (len(values) + 1e-06)", "return total / len(values)")
    assert changed_lines(got) == [want]


def test_a_placeholder_stands_for_any_expression_and_is_used_again():
    got = broken("_X.detach()", "_X", "mean")
    assert changed_lines(got) == [("total = sum(values).detach()", "total = sum(values)")]


def test_a_placeholder_that_appears_twice_stands_for_the_same_expression():
    got = broken("_X + _X", "_X", "Scale.scale")
    assert changed_lines(got) == [("return x + x", "return x")]


def test_arguments_are_swapped():
    got = broken("mean(_X, _Y)", "mean(_Y, _X)", "Scale")
    assert changed_lines(got) == [("return twice(x) + mean(x, 1)", "return twice(x) + mean(1, x)")]


def test_a_statement_is_removed():
    got = broken("total = total * weight", "pass")
    assert changed_lines(got) == [("total = total * weight", "pass")]


def test_a_statement_becomes_several():
    got = broken("return x + x", "y = x\nreturn y", "Scale.scale.twice")
    assert "            y = x\n            return y\n" in got


def test_what_is_assigned_to_is_not_what_is_read():
    got = broken("total", "0", "mean", occurrence=1)
    assert changed_lines(got) == [("total = total * weight", "total = 0 * weight")]


def test_the_function_limits_the_search():
    with pytest.raises(MutantError, match="mean has no match for `x \\+ x`"):
        broken("x + x", "x", "mean")


def test_several_matches_ask_for_an_occurrence():
    with pytest.raises(MutantError, match="2 matches for `total`: add `occurrence`"):
        broken("total", "0", "mean")
    second = broken("total", "0", "mean", occurrence=2)
    assert changed_lines(second)[0][1] == "return 0 / (len(values) + 1e-06)"
    with pytest.raises(MutantError, match="mean has 2 match"):
        broken("total", "0", "mean", occurrence=3)


def test_an_integer_is_neither_a_float_nor_a_truth_value():
    for constant in ("3.0", "True"):
        with pytest.raises(MutantError, match="no match"):
            broken(constant, "4")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("a\nb", "c", "not one expression"), ("LIMIT", "_X", "`new` uses _X, which `old` lacks")],
)
def test_entries_that_make_no_sense_are_refused(old, new, message):
    with pytest.raises(MutantError, match=message):
        mutate("print(LIMIT)", Mutant("it", "a/b.py", old, new))


@pytest.fixture
def repository(tmp_path) -> Path:
    """A package of one module with two tests, of which one already fails."""
    root = tmp_path / "small"
    files = {
        "aio_toolkit/a/b.py": "def double(x):\n    return x + x\n\n\ndef spin():\n    return 1\n",
        "aio_toolkit/c.py": "def half(x):\n    return x / 2\n",
        "test/a/test_b.py": "from aio_toolkit.a.b import double, spin\n\n\n"
        "def test_red():\n    assert double(2) == 5\n\n\n"
        "def test_double():\n    assert double(3) == 6 and spin()\n",
        "test/a/test_a.py": "def test_nothing():\n    pass\n",
        "test/test_c.py": "",
        ".gitignore": "left_behind\n",
        "left_behind": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def test_the_mirror_comes_before_the_rest_of_its_folder(repository):
    mutant = Mutant("it", "a/b.py", "x", "y")
    assert mirrored_tests(repository, mutant) == ["test/a/test_b.py", "test/a/test_a.py"]
    assert mirrored_tests(repository, Mutant("it", "c.py", "x", "y")) == ["test/test_c.py"]
    named = Mutant("it", "c.py", "x", "y", tests=("test/a",))
    assert mirrored_tests(repository, named) == ["test/a/test_a.py", "test/a/test_b.py"]
    with pytest.raises(MutantError, match=r"it: no test mirrors d\.py"):
        mirrored_tests(repository, Mutant("it", "d.py", "x", "y"))


def test_code_that_has_moved_is_named(repository):
    with pytest.raises(MutantError, match=r"it: a/b\.py: there is no half\. half is in c\.py\."):
        mutated_source(repository, Mutant("it", "a/b.py", "x / 2", "x", "half"))


def test_a_copy_holds_what_git_would_add_and_nothing_else(repository, tmp_path):
    copy_repository(repository, tmp_path / "copy")
    copied = tmp_path / "copy"
    assert (copied / "aio_toolkit/c.py").read_text() == (
        repository / "aio_toolkit/c.py"
    ).read_text()
    assert not (copied / "left_behind").exists()


def test_mutants_are_noticed_or_survive_and_red_tests_do_not_count(repository):
    mutants = [
        Mutant("product", "a/b.py", "x + x", "x * x", "double"),
        Mutant("two", "a/b.py", "return 1", "return 2", "spin"),
        Mutant("gone", "a/b.py", "x - x", "x"),
    ]
    report = judge(repository, mutants, seconds=60, jobs=2)
    assert [verdict.noticed_by for verdict in report.verdicts] == [
        "test/a/test_b.py::test_double",
        "",
    ]
    assert report.red == ["test/a/test_b.py::test_red"]
    assert report.stale == ["gone: a/b.py: the file has no match for `x - x`."]
    assert report.share == 50
    assert "| two | **survived** |" in format_report(report)
    assert "x + x" in (repository / "aio_toolkit/a/b.py").read_text()


def test_tests_that_hang_are_killed_and_count_as_noticed(repository):
    changes = {"aio_toolkit/a/b.py": "while True:\n    pass\n"}
    trial = Trial("hangs", repository, ["test/a"], 0.5, changes)
    (verdict,) = run_all([trial], jobs=1)
    assert verdict.noticed_by.startswith("timeout after")


def test_unknown_keys_and_names_that_appear_twice_are_refused(tmp_path):
    path = tmp_path / "list.yaml"
    entry = "- {name: it, module: b.py, old: x, new: y}\n"
    path.write_text(entry)
    assert load_mutants(path) == [Mutant("it", "b.py", "x", "y")]
    path.write_text(entry * 2)
    with pytest.raises(MutantError, match="it: the name appears twice"):
        load_mutants(path)
    path.write_text("- {name: it, module: b.py, old: x, new: y, functoin: f}\n")
    with pytest.raises(MutantError, match="it: unknown key functoin"):
        load_mutants(path)


@pytest.mark.parametrize("mutant", load_mutants(ROOT / "utils/mutants.yaml"), ids=lambda m: m.name)
def test_every_mutant_of_the_list_applies_to_the_code(mutant):
    mutated_source(ROOT, mutant)
    mirrored_tests(ROOT, mutant)
