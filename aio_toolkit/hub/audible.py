"""Which of several speakers or sounds are there at all."""

from collections.abc import Mapping

from aio_toolkit.errors import AioError

# An estimate that is so much quieter than the recording, in dB, is nobody's.
SILENT_DB = -20.0


def audible(energies: Mapping[str, float], num_sources: int | None = None) -> list[str]:
    """The sources that can be heard, in their order.

    Args:
        energies: of each source.
        num_sources: how many are wanted, the loudest; None for those that are not silent.

    Raises:
        AioError: more sources are wanted than there are.

    >>> audible({"spk1": 2.0, "spk2": 1.0, "spk3": 0.001})
    ['spk1', 'spk2']
    >>> audible({"spk1": 2.0, "spk2": 1.0, "spk3": 4.0}, num_sources=2)
    ['spk1', 'spk3']
    """
    if num_sources is None:
        threshold = 10 ** (SILENT_DB / 10) * sum(energies.values())
        return [name for name, energy in energies.items() if energy >= threshold]
    if not 1 <= num_sources <= len(energies):
        raise AioError(f"num_sources: {num_sources} is not from 1 to {len(energies)}.")
    loudest = sorted(energies, key=energies.__getitem__, reverse=True)[:num_sources]
    return [name for name in energies if name in loudest]
