"""Parts by name: one file beside the contract is a part, and what is wrong with it is named."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign import NEWCOMERS, in_use, newcomer

from aio_toolkit import parts
from aio_toolkit.codec.base import Codec, load_codec
from aio_toolkit.config import Choice, from_values
from aio_toolkit.encoders.base import Encoder
from aio_toolkit.errors import AioError
from aio_toolkit.heads.paths.base import CodePath
from aio_toolkit.moe.balances.base import Balance
from aio_toolkit.moe.experts.base import Experts
from aio_toolkit.moe.mixture import MoE
from aio_toolkit.moe.routers.base import Router
from aio_toolkit.moe.routers.shared import SharedRouter
from aio_toolkit.scoring.metrics.base import Metric
from aio_toolkit.ssl.base import Objective

CONTRACTS = {
    "encoders": Encoder,
    "moe/routers": Router,
    "moe/balances": Balance,
    "moe/experts": Experts,
    "ssl": Objective,
    "heads/paths": CodePath,
    "codec": Codec,
    "scoring/metrics": Metric,
}
KNOWN = {
    "answers": ["audio", "text"],
    "codec": ["dac"],
    "decoding": ["audio", "text"],
    "encoders": ["conformer", "e_branchformer", "transformer"],
    "heads": ["audio", "text"],
    "heads/paths": ["classes", "latent"],
    "moe/balances": ["bias", "importance_load", "mutual_information", "none", "switch"],
    "moe/experts": ["attention_heads", "feed_forward"],
    "moe/routers": ["per_task", "shared", "task_conditioned"],
    "scoring": ["audio", "text"],
    "scoring/metrics": ["bleu", "si_sdr", "wer"],
    "ssl": ["best_rq", "contrastive", "masked_codes", "self_distillation"],
}

ROUTER = """
from aio_toolkit.moe.routers.shared import SharedRouter

class {name}(SharedRouter):
    pass
"""


class Package:
    """A package that files are put into."""

    def __init__(self, root: Path):
        self.name = f"parts_{uuid.uuid4().hex}"
        self.root = root / self.name
        self.root.mkdir()
        (self.root / "__init__.py").touch()

    def put(self, path: str, source: str) -> Path:
        """Write `<path>.py`; its folders need no `__init__.py`."""
        file = self.root / f"{path}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        return file


@pytest.fixture
def package(tmp_path) -> Package:
    return Package(tmp_path)


@pytest.fixture
def second(tmp_path) -> Package:
    return Package(tmp_path)


@pytest.fixture
def using(tmp_path) -> Iterator[Callable[..., None]]:
    """A function that puts packages into use until the test ends."""
    with in_use(path=tmp_path):
        yield lambda *packages: parts.use([package.name for package in packages])


@pytest.mark.parametrize(("folder", "kinds"), KNOWN.items())
def test_the_parts_of_a_folder_are_its_files(folder, kinds):
    assert set(kinds) <= set(parts.kinds(folder))
    assert all(parts.locate(folder, kind).startswith("aio_toolkit.") for kind in kinds)


@pytest.mark.parametrize(("folder", "kind"), NEWCOMERS.items())
def test_one_file_in_a_package_is_a_part_with_its_own_options(package, using, folder, kind):
    package.put(f"{folder}/{kind}", newcomer(folder))
    assert kind not in parts.kinds(folder)
    using(package)
    assert kind in parts.kinds(folder)
    found = parts.find(CONTRACTS[folder], kind)
    assert found is parts.find_in(folder, kind)
    assert found.__module__ == f"{package.name}.{folder.replace('/', '.')}.{kind}"
    if folder != "scoring/metrics":
        assert found.Config.__qualname__.startswith(found.__name__)


def moe(values: dict[str, Any]) -> MoE.Config:
    return from_values(MoE.Config, values, "train.yaml")


def test_a_new_kind_is_chosen_in_yaml_with_its_own_section(package, using):
    package.put("moe/routers/hashed", newcomer("moe/routers"))
    using(package)
    chosen = moe({"router": {"kind": "hashed", "hashed": {"scale": 3.0}}}).router
    assert chosen == Choice("hashed", parts.find(Router, "hashed").Config(scale=3.0))


def test_a_new_codec_is_loaded_from_a_folder_that_names_it(package, using, tmp_path):
    package.put("codec/steps", newcomer("codec"))
    using(package)
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "architecture.yaml").write_text("kind: steps\nnum_steps: 5\n")
    assert load_codec(folder).fingerprint.codebook_size == 5


def test_a_part_is_built_from_its_options_or_from_its_defaults(package, using):
    package.put("encoders/pooled", newcomer("encoders"))
    using(package)
    config = parts.find(Encoder, "pooled").Config(width=8, num_layers=2, share=0.25)
    encoder = parts.build(Encoder, Choice("pooled", config))
    assert (encoder.width, encoder.num_layers, encoder.share) == (8, 2, 0.25)
    assert parts.build(Encoder, Choice("pooled")).share == 0.5
    assert parts.options_of(Encoder, Choice("pooled")).share == 0.5
    assert parts.options_of(Encoder, Choice("pooled", config)) is config


def test_a_part_may_inherit_its_options(package, using):
    package.put("moe/routers/other", ROUTER.format(name="Other"))
    using(package)
    assert parts.find(Router, "other").Config is SharedRouter.Config
    assert moe({"router": {"kind": "other", "other": {"noise": 0.5}}}).router.options.noise == 0.5


def test_a_part_may_derive_from_another_of_its_own_package(package, using):
    package.put("gates", "from aio_toolkit.moe.routers.shared import SharedRouter as Gate\n")
    package.put(
        "moe/routers/far",
        f"from {package.name}.gates import Gate\n\n\nclass Far(Gate):\n    pass\n",
    )
    using(package)
    assert issubclass(parts.find(Router, "far"), SharedRouter)


def test_helpers_begin_with_an_underscore_or_stand_in_files_that_do(package, using):
    package.put("moe/routers/_common", ROUTER.format(name="Common"))
    package.put("moe/routers/one", ROUTER.format(name="One") + ROUTER.format(name="_Helper"))
    using(package)
    assert parts.find(Router, "one").__name__ == "One"
    assert "_common" not in parts.kinds("moe/routers")


def test_an_unknown_kind_names_the_nearest_and_all():
    message = (
        "moe/routers: unknown kind 'per_tusk'. Did you mean 'per_task'? "
        "Known kinds: per_task, shared, task_conditioned."
    )
    with pytest.raises(AioError, match=re.escape(message)):
        parts.find(Router, "per_tusk")


def test_a_kind_like_no_other_is_not_guessed_at():
    with pytest.raises(AioError, match="unknown kind 'q'. Known kinds: per_task"):
        parts.find(Router, "q")


def test_two_parts_of_one_name_are_named(package, second, using):
    for each in (package, second):
        each.put("moe/routers/twin", ROUTER.format(name="Twin"))
    using(package, second)
    modules = f"{package.name}.moe.routers.twin and {second.name}.moe.routers.twin"
    with pytest.raises(AioError, match=f"two parts are called 'twin': {modules}. Rename one"):
        parts.find(Router, "twin")


def test_a_part_that_is_called_as_one_of_the_toolkit_s_is_refused(package, using):
    package.put("moe/routers/shared", ROUTER.format(name="Mine"))
    using(package)
    with pytest.raises(AioError, match="two parts are called 'shared': aio_toolkit.moe.routers"):
        parts.find(Router, "shared")


@pytest.mark.parametrize("source", ["", "class Lonely:\n    pass\n", "SIZE = 3\n"])
def test_a_file_without_a_part_is_named(package, using, source):
    package.put("moe/routers/empty", source)
    using(package)
    assert "empty" not in parts.kinds("moe/routers")
    message = f"{package.name}/moe/routers/empty.py declares no part. .*moe/routers/base.py"
    with pytest.raises(AioError, match=message):
        parts.find(Router, "empty")


def test_two_public_parts_in_a_file_are_named(package, using):
    package.put("moe/routers/pair", ROUTER.format(name="One") + ROUTER.format(name="Two"))
    using(package)
    message = "pair.py: a part is exactly one public subclass of Router; here are: One, Two"
    with pytest.raises(AioError, match=message):
        parts.find(Router, "pair")


def test_members_that_a_part_lacks_are_named(package, using):
    source = newcomer("moe/routers").replace("def keep", "def kept")
    package.put("moe/routers/half", source.replace("def add_task", "def added"))
    using(package)
    message = r"half.py: HashedRouter lacks add_task, keep of its contract, Router in aio_toolkit"
    with pytest.raises(AioError, match=message):
        parts.find(Router, "half")


def test_a_file_that_is_no_python_is_named_with_its_line(package, using):
    package.put("moe/routers/broken", "class Broken(:\n    pass\n")
    using(package)
    with pytest.raises(AioError, match=r"broken.py line 1: invalid syntax"):
        parts.kinds("moe/routers")


@pytest.mark.parametrize("name", ["nowhere_at_all", "nowhere.at_all", "aio_toolkit.nowhere", ""])
def test_a_package_that_is_not_there_is_named(name):
    with pytest.raises(AioError, match=f"parts: there is no package '{name}' on PYTHONPATH"):
        parts.use([name])


def test_a_package_that_is_used_twice_is_looked_through_once(package, using):
    package.put("moe/routers/other", ROUTER.format(name="Other"))
    using(package, package)
    using(package)
    assert parts.packages().count(package.name) == 1
    assert parts.locate("moe/routers", "other") == f"{package.name}.moe.routers.other"


def test_packages_are_handed_out_as_a_copy():
    parts.packages().append("nothing")
    assert "nothing" not in parts.packages()


@pytest.mark.parametrize(("folder", "contract"), CONTRACTS.items())
def test_a_contract_knows_its_folder(folder, contract):
    assert parts.folder_of(contract) == folder
