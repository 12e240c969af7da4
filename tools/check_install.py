"""Say in one line whether the environment can run the toolkit, and with what."""

import importlib
import platform
import shutil
import sys
import warnings

MODULES = (
    "aio_toolkit",
    "torch",
    "torchaudio",
    "espnet2",
    "numpy",
    "scipy",
    "kaldiio",
    "soundfile",
    "soxr",
    "av",
    "sentencepiece",
    "omegaconf",
    "yaml",
    "tqdm",
    "safetensors",
    "huggingface_hub",
    "dac",
    "lightning",
    "tensorboard",
    "sacrebleu",
    "jiwer",
    "fast_bss_eval",
    "matplotlib",
    "sklearn",
    "espeakng_loader",
)


def main() -> None:
    """Import every direct dependency, then print the line; a failing import is the line and exit
    status 1."""
    warnings.simplefilter("ignore")
    for name in MODULES:
        try:
            importlib.import_module(name)
        except (
            Exception
        ) as error:  # a broken wheel may raise anything, OSError of a missing library for one
            print(f"'import {name}' failed ({type(error).__name__}: {error}).")
            sys.exit(1)
    print(f"environment ready: {', '.join((*versions(), compiler(), device()))}")


def versions() -> list[str]:
    """Name and version of the packages that results depend on most."""
    from importlib.metadata import version

    packages = ("torch", "torchaudio", "lightning", "espnet", "descript-audio-codec")
    return [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in packages),
    ]


def compiler() -> str:
    """torch.compile writes C++ on CPUs, so training there is slower without a compiler."""
    found = next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), None)
    return f"C++ compiler {found}" if found else "no C++ compiler (torch.compile stays off)"


def device() -> str:
    """The GPUs that torch sees."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"


if __name__ == "__main__":
    main()
