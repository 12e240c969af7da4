"""What the trainings of stages 3 and 4 want stage 2 to code, read off their configurations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aio_toolkit import parts
from aio_toolkit.config import check_config, from_values
from aio_toolkit.dump.shards import Part
from aio_toolkit.heads.base import Head
from aio_toolkit.ssl.base import Objective

SSL_SCHEMA = "aio_toolkit.training.pretrain:PretrainModule"
AIO_SCHEMA = "aio_toolkit.training.multitask:MultitaskModule"


@dataclass(frozen=True)
class Source:
    """A configuration.

    Attributes:
        path: its YAML file; None for a stage that is not planned.
        overrides: keys that win over the file.
    """

    path: Path | None
    overrides: Sequence[str] = ()

    def values(self, schema: str) -> dict[str, Any] | None:
        """Its values, checked; None without a file."""
        if self.path is None:
            return None
        return check_config(schema, self.path, self.overrides)


def wanted_parts(ssl: Source, aio: Source) -> set[Part]:
    """Inputs where the objective learns from their codes, sources where a head does.

    Raises:
        AioError: a configuration is wrong.

    >>> conf = Path("egs/mini_aio/conf")
    >>> ssl = Source(conf / "train_ssl.yaml", ["model.objective.kind=masked_codes"])
    >>> wanted_parts(ssl, Source(conf / "train_aio.yaml"))
    {<Part.input: 'input'>}
    """
    wanted = set()
    of_ssl, of_aio = ssl.values(SSL_SCHEMA), aio.values(AIO_SCHEMA)
    if of_ssl is not None:
        objective = of_ssl["model"]["objective"]["kind"]
        if parts.find(Objective, objective).reads_codes:
            wanted.add(Part.input)
    if of_aio is not None:
        for kind, section in of_aio["model"]["heads"].items():
            head = parts.find(Head, kind)
            options = from_values(head.Config, section, f"model.heads.{kind}")
            if "codes" in head.wanted(options):
                wanted.add(Part.sources)
    return wanted
