"""Which utterances share a batch."""

from collections.abc import Iterable, Mapping, Sequence


def fixed_batches(
    tasks: Sequence[str],
    lengths: Sequence[int],
    budget: int,
) -> list[list[int]]:
    """Every utterance once, longest first, for validation and decoding.

    Rows of a batch share a task.

    Args:
        tasks: the task of each utterance, by name.
        lengths: the length of each utterance.
        budget: largest size of a batch, padding included; longer utterances come alone.

    >>> fixed_batches(["st", "asr", "asr", "asr"], [5, 4, 6, 2], budget=8)
    [[2], [1, 3], [0]]
    """
    members: dict[str, list[int]] = {}
    # The longest first, so that what does not fit into memory fails at once.
    for index in sorted(range(len(tasks)), key=lambda index: -lengths[index]):
        members.setdefault(tasks[index], []).append(index)
    batches = []
    for task in sorted(members):
        batches += cut_by_padded_size(members[task], lengths, budget)
    return batches


def cut_by_padded_size(
    order: Iterable[int],
    lengths: Sequence[int] | Mapping[int, int],
    budget: int,
) -> list[list[int]]:
    """Cut a list where the size of a group, every row padded to its longest, would exceed a budget.

    Args:
        order: utterances, sorted by length so that little is padded.
        lengths: the length of each utterance.
        budget: largest size of a group of several; longer utterances come alone.

    >>> cut_by_padded_size([0, 1, 2, 3], [3, 3, 4, 9], budget=8)
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    longest = 0
    for utterance in order:
        length = lengths[utterance]
        longest = max(longest, length)
        num_rows = len(groups[-1]) + 1 if groups else 1
        if groups and num_rows * longest <= budget:
            groups[-1].append(utterance)
        else:
            groups.append([utterance])
            longest = length
    return groups
