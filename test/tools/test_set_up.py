"""tools/: finding Python, refusing early, and recognising what is done."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from requirement_lists import distributions, normal

ROOT = Path(__file__).resolve().parents[2]
BASIC_TOOLS = (
    "bash",
    "env",
    "dirname",
    "cat",
    "cksum",
    "df",
    "du",
    "awk",
    "grep",
    "sed",
    "tail",
    "rm",
    "tee",
    "touch",
)


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder for PATH with the basic tools and nothing named python."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in BASIC_TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the set-up reads, without an environment."""
    copy = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "tools", copy / "tools", ignore=shutil.ignore_patterns("venv*", ".venv.lock")
    )
    shutil.copy(ROOT / "setup.py", copy)
    return copy


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(
    command: Path, search_path: Path, home: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(search_path), "HOME": str(home)} | variables
    return subprocess.run(
        ["bash", str(command)], env=environment, capture_output=True, text=True, timeout=120
    )


def find_python(
    search_path: Path, home: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a find_python.sh whose system folders do not exist, so that only PATH and HOME count."""
    text = (ROOT / "tools/find_python.sh").read_text(encoding="utf-8")
    for folder in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
        text = text.replace(folder, "/nonexistent")
    return run(script(home / "find_python.sh", text), search_path, home, **variables)


def fake_python(path: Path, version: str) -> Path:
    """Answers the probe as a Python of this version would."""
    major, minor = version.split(".")
    usable = (3, 12) <= (int(major), int(minor)) <= (3, 13)
    return script(path, f"echo {version} {path}" if usable else "exit 0")


def test_a_shim_that_does_not_run_is_passed_over(bare_path: Path, tmp_path: Path) -> None:
    script(bare_path / "python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    real = tmp_path / ".pyenv/versions/3.12.9/bin"
    real.mkdir(parents=True)
    (real / "python").symlink_to(sys._base_executable)
    result = find_python(bare_path, tmp_path)
    assert result.returncode == 0
    assert Path(result.stdout.strip()).resolve() == Path(sys._base_executable).resolve()


def test_an_older_python_is_passed_over_and_312_is_preferred_to_313(
    bare_path: Path, tmp_path: Path
) -> None:
    fake_python(bare_path / "python3", "3.11")
    fake_python(bare_path / "python3.13", "3.13")
    assert find_python(bare_path, tmp_path).stdout.strip() == str(bare_path / "python3.13")
    environment = tmp_path / "miniconda3/envs/speech/bin"
    environment.mkdir(parents=True)
    fake_python(environment / "python", "3.12")
    assert find_python(bare_path, tmp_path).stdout.strip() == str(environment / "python")


def test_the_variable_python_wins_and_a_bad_one_is_said(bare_path: Path, tmp_path: Path) -> None:
    fake_python(bare_path / "python3.12", "3.12")
    mine = fake_python(tmp_path / "mine", "3.13")
    assert find_python(bare_path, tmp_path, PYTHON=str(mine)).stdout.strip() == str(mine)
    result = find_python(bare_path, tmp_path, PYTHON="/nonexistent/python")
    assert result.stdout.strip() == str(bare_path / "python3.12")
    assert "PYTHON=/nonexistent/python is not a working Python" in result.stderr


def test_no_python_at_all_is_one_sentence(bare_path: Path, tmp_path: Path) -> None:
    result = find_python(bare_path, tmp_path)
    assert result.returncode != 0
    assert result.stderr.startswith("error: no working Python 3.12 or 3.13 was found")
    assert result.stderr.count("\n") == 1


def test_too_little_disk_is_one_sentence(checkout: Path, bare_path: Path, tmp_path: Path) -> None:
    result = run(checkout / "tools/setup_env.sh", bare_path, tmp_path, AIO_MIN_FREE_GB="999999")
    assert result.returncode != 0
    assert "needs about 999999 GB" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (checkout / "tools/venv").exists()


# A Python whose venv holds a pip that writes its arguments down and then does what PIP_DOES says.
FAKE_BASE = """
if [ "$1" = -c ]; then echo "3.12 $0"; exit; fi
mkdir -p "$3/bin"
cat >"$3/bin/python" <<'END'
#!/bin/bash
case "$*" in
    *--version*) exit 0 ;;
    *check_install*) echo "environment ready" ;;
    *install*) echo "$*" >>"$HOME/pip-calls"; eval "$PIP_DOES" ;;
esac
END
chmod +x "$3/bin/python"
"""


@pytest.fixture
def set_up(checkout: Path, bare_path: Path, tmp_path: Path):
    """Run setup_env.sh against a fake Python; the argument is what its pip does."""
    for name in ("mkdir", "chmod"):
        (bare_path / name).symlink_to(shutil.which(name))
    base = script(tmp_path / "base", FAKE_BASE)

    def call(pip_does: str = "true") -> subprocess.CompletedProcess[str]:
        command = checkout / "tools/setup_env.sh"
        options = {"PYTHON": str(base), "AIO_MIN_FREE_GB": "0", "PIP_DOES": pip_does}
        return run(command, bare_path, tmp_path, **options)

    return call


def pip_calls(home: Path) -> int:
    path = home / "pip-calls"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def test_a_finished_environment_is_not_touched_again(set_up, tmp_path: Path) -> None:
    assert set_up().returncode == 0
    done = pip_calls(tmp_path)
    assert done > 0
    assert set_up().returncode == 0
    assert pip_calls(tmp_path) == done


def test_changed_requirements_are_installed(set_up, checkout: Path, tmp_path: Path) -> None:
    set_up()
    done = pip_calls(tmp_path)
    with open(checkout / "tools/constraints.txt", "a", encoding="utf-8") as stream:
        stream.write("new==1.0\n")
    assert set_up().returncode == 0
    assert pip_calls(tmp_path) > done


def test_a_failed_installation_says_the_reason_and_the_log(set_up, checkout: Path) -> None:
    result = set_up("echo 'ERROR: No matching distribution found for torch'; exit 1")
    assert result.returncode != 0
    assert "No matching distribution found for torch" in result.stderr
    assert "tools/venv-install.log" in result.stderr
    assert not (checkout / "tools/venv/.installed").exists()


def test_a_failed_download_keeps_the_environment(set_up, checkout: Path) -> None:
    set_up("exit 1")
    (checkout / "tools/venv/kept").touch()
    assert set_up().returncode == 0
    assert (checkout / "tools/venv/kept").exists()


def test_an_environment_killed_while_installing_is_made_anew(set_up, checkout: Path) -> None:
    killed = set_up("echo 'Installing collected packages: torch'; kill -9 $PPID; sleep 0.2")
    assert killed.returncode != 0
    (checkout / "tools/venv/half_written").touch()
    assert set_up().returncode == 0
    assert not (checkout / "tools/venv/half_written").exists()
    assert (checkout / "tools/venv/.installed").exists()


def test_a_linked_environment_is_refused_and_left_as_it_is(
    set_up, checkout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other/venv"
    other.mkdir(parents=True)
    (checkout / "tools/venv").symlink_to(other)
    result = set_up()
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {checkout}/tools/venv is a symbolic link to {other}")
    assert f"rm {checkout}/tools/venv" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(other.iterdir()) == []


def test_the_environment_of_another_checkout_is_refused(set_up, checkout: Path) -> None:
    assert set_up().returncode == 0
    stamp = checkout / "tools/venv/.installed"
    stamp.write_text(stamp.read_text().replace(str(checkout), "/somewhere/else"))
    before = stamp.read_text()
    result = set_up()
    assert result.returncode == 1
    assert "was made for the checkout /somewhere/else" in result.stderr
    assert f"rm -r {checkout}/tools/venv" in result.stderr
    assert result.stderr.count("\n") == 1
    assert stamp.read_text() == before


def test_constraints_pin_every_direct_dependency_and_no_local_file() -> None:
    def names(file: str) -> dict[str, str]:
        lines = (ROOT / "tools" / file).read_text(encoding="utf-8").splitlines()
        found = [
            line.split(";")[0].strip().partition("==")
            for line in lines
            if line and line[0] not in "#-"
        ]
        return {normal(name): version for name, _, version in found}

    pinned = names("constraints.txt")
    assert all(pinned.values())
    files = sorted(path.name for path in (ROOT / "tools").glob("requirements*.txt"))
    assert len(files) == 9
    for name, version in (item for file in files for item in names(file).items()):
        name, *bound = re.split("[<>]", name)
        assert name in pinned
        assert bound or version in ("", pinned[name])


def test_make_lists_its_targets() -> None:
    listing = subprocess.run(
        ["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "demo", "test", "lint", "format", "clean"):
        assert f"make {target} " in listing


def test_the_check_imports_every_direct_dependency_and_no_other(monkeypatch):
    """A requirement that is dropped, or comes, changes the list in check_install.py too."""
    from importlib.metadata import packages_distributions

    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import check_install

    of_module = packages_distributions()
    checked = {normal(name) for module in check_install.MODULES for name in of_module[module]}
    assert checked == distributions("-recipes") | {"aio-toolkit"}


def test_every_package_that_the_toolkit_imports_is_a_direct_dependency(monkeypatch):
    """One that only comes with another may go with it."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import check_install

    imported = set()
    for path in (ROOT / "aio_toolkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    # `make setup` leaves the page out.
    assert imported - sys.stdlib_module_names <= {*check_install.MODULES, "gradio"}
