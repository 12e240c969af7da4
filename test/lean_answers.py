"""A program for a process of its own: a pack answers everything; what was imported is printed.

It needs the wheel alone, without the tests' packages.
"""

import json
import sys
import time

import aio_toolkit


def main(pack: str, out: str, *recordings: str) -> None:
    started = time.perf_counter()
    model = aio_toolkit.load(pack, device="cpu")
    loading = time.perf_counter() - started
    for recording in recordings:
        for task in model.tasks:
            model.answer(task, recording).save(f"{out}/{task}")
    # Both searches, words with their times, window by window.
    model.transcribe(recordings[0], search="greedy").save(out, format="srt")
    model.separate(recordings[0], out=f"{out}/windows")
    card = model.describe()
    imported = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps({"loading": loading, "imported": imported, "card": card}))


if __name__ == "__main__":
    main(*sys.argv[1:])
