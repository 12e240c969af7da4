"""Whether a dump is what a model was made for."""

from aio_toolkit.codec.base import check_same
from aio_toolkit.dump.fingerprints import Provenance
from aio_toolkit.dump.split import Split


def check_dump(split: Split, provenance: Provenance) -> None:
    """Refuse a dump of another codec or front end: its features would mean something else.

    Args:
        split: a dumped split.
        provenance: what the model was trained with.

    Raises:
        AioError: they differ, or stage 2 has not run.
    """
    found = split.provenance()
    # The codec matters even where features are log-mel alone: frames are as long as its hop.
    codes = f"codes in {split.dump}"
    check_same(provenance.codec, found.codec, codes)
    features = f"features in {split.dump}"
    check_same(provenance.front_end, found.front_end, features)
