"""Stage 2: train one SentencePiece model on all text of a split (transcripts and translations)."""

import argparse
from pathlib import Path

from aio_toolkit.errors import cli


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data dir whose text to train on")
    parser.add_argument("--out", type=Path, required=True, help="folder for bpe.model and tokens.txt")
    parser.add_argument("--vocab_size", type=int, default=200, help="number of SentencePiece pieces")
    return parser


@cli
def main() -> None:
    args = build_parser().parse_args()
    from aio_toolkit.data.datadir import read_data_dir
    from aio_toolkit.text import Vocabulary, train_vocabulary

    if (args.out / "tokens.txt").is_file():
        vocabulary = Vocabulary.load(args.out)
        print(f"{args.out} is finished ({len(vocabulary)} tokens): nothing to do")
        return
    # Sorted, so that the model does not depend on the order of the data.
    sentences = sorted(text for u in read_data_dir(args.data) for text in u.texts.values())
    vocabulary = train_vocabulary(sentences, args.vocab_size, args.out)
    print(f"wrote {args.out}/bpe.model ({len(vocabulary)} tokens from {len(sentences)} sentences)")


if __name__ == "__main__":
    main()
