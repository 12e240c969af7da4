"""A callback for runs in several processes; it stands alone because such runs import it by name."""

from pathlib import Path

import lightning
import torch


class RankWitness(lightning.Callback):
    """Keeps the weights that each rank ends with, in `<folder>/<rank>.pt`."""

    def __init__(self, folder: str):
        self.folder = Path(folder)

    def on_train_end(self, trainer, pl_module) -> None:
        torch.save(pl_module.state_dict(), self.folder / f"{trainer.global_rank}.pt")
