"""Nets by PyTorch: layers over the features of one bar, or a recurrent one over those of the last bars."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pitboss.core.errors import InvalidInput
from pitboss.learning.classic import Scaling
from pitboss.learning.learner import Fitted, Part, Patience, Saved, Task, Watch, complete, loss_of
from pitboss.learning.samples import F64, I64
from pitboss.learning.tensors import Arrays, packed, unpacked

AT_ONCE = 65_536  # rows of a prediction
BOOL = npt.NDArray[np.bool_]


class Layers(nn.Module):
    """Layers of a width, with rectifiers between; answers log-odds, or a number."""

    def __init__(self, inputs: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for number in range(layers):
            parts += [nn.Linear(inputs if number == 0 else width, width), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*parts, nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (rows, features); answers (rows,)."""
        said: torch.Tensor = self.body(x).squeeze(-1)
        return said


class Memory(nn.Module):
    """Gated recurrent units (Cho et al. 2014), and what they hold after the last bar made a number."""

    def __init__(self, inputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.units = nn.GRU(inputs, width, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (rows, bars, features); answers (rows,)."""
        held, _ = self.units(x)
        said: torch.Tensor = self.out(held[:, -1]).squeeze(-1)
        return said


@dataclass(kw_only=True)
class Net(Fitted):
    """A net, the scaling of its features and of what it tells, and how many bars it looks at."""

    module: nn.Module
    scaling: Scaling
    target: Scaling
    window: int
    is_class: bool
    best: int = 0

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def predict(self, x: F64, since: I64) -> F64:
        scaled = self.scaled(x)
        rows = np.flatnonzero(usable(x, since, self.window))
        out = np.full(len(x), np.nan)
        self.module.eval()
        with torch.no_grad():
            for part in np.array_split(rows, max(1, -(-len(rows) // AT_ONCE))):
                out[part] = self.told(self.module(windows(scaled, part, self.window)))
        return out

    def told(self, said: torch.Tensor) -> F64:
        """Answer probabilities, or numbers in their own units, of what the net says."""
        if self.is_class:
            return np.asarray(torch.sigmoid(said).cpu().numpy(), np.float64)
        return np.asarray(said.cpu().numpy() * self.target.deviation + self.target.mean, np.float64)

    def scaled(self, x: F64) -> torch.Tensor:
        return torch.from_numpy(self.scaling(x).astype(np.float32)).to(self.device)

    def content(self) -> bytes:
        scaling = {
            "mean": self.scaling.mean, "deviation": self.scaling.deviation,
            "target": np.array([self.target.mean, self.target.deviation]),
        }  # fmt: skip
        return packed({**arrays_of(self.module), **scaling, "best": np.array([self.best])})

    def importance(self) -> F64:
        return np.zeros(len(self.scaling.mean))


def usable(x: F64, since: I64, window: int) -> BOOL:
    """Answer the rows of which the last `window` bars of the symbol are known, each feature of them."""
    unknown = np.concatenate(([0], np.cumsum(~complete(x))))
    begin = np.arange(1, len(x) + 1) - window
    return np.asarray((begin >= since) & (unknown[1:] == unknown[np.maximum(begin, 0)]))


def windows(scaled: torch.Tensor, rows: I64, window: int) -> torch.Tensor:
    """Answer what a net is shown of rows: (rows, features), or with a window (rows, bars, features)."""
    if window == 1:
        return scaled[torch.from_numpy(rows).to(scaled.device)]
    return scaled[torch.from_numpy(rows[:, None] + np.arange(1 - window, 1)[None, :]).to(scaled.device)]


def arrays_of(module: nn.Module) -> Arrays:
    return {f"net.{name}": tensor.cpu().numpy() for name, tensor in module.state_dict().items()}


def put_into(module: nn.Module, found: Arrays) -> None:
    """Give a net the weights of a file. Raises InvalidInput for those of another net."""
    weights = {name.removeprefix("net."): torch.from_numpy(array.copy()) for name, array in found.items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        raise InvalidInput("the file is of another net", "train the model again") from None


@dataclass
class Progress:
    """A net under way: all that decides what it becomes."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    dice: torch.Generator  # by which the order of rows is drawn
    patience: Patience
    done: int = 0
    best: Arrays = field(default_factory=dict)

    def note(self, done: int, loss: float) -> bool:
        """Take note of an epoch; True where the net gets no better."""
        is_over = self.patience.is_over(done, loss)
        self.done = done
        if self.patience.best == done:
            self.best = {name: array.copy() for name, array in arrays_of(self.module).items()}
        return is_over

    def saved(self) -> Saved:
        """Answer what it could go on from: weights, the best ones, optimiser and generators."""
        state: Arrays = {**arrays_of(self.module), "dice": self.dice.get_state().numpy()}
        state["dropout"] = torch.get_rng_state().numpy()
        state |= {f"best.{name}": array for name, array in self.best.items()}
        for at, values in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{at}.{name}": np.asarray(tensor.cpu()) for name, tensor in values.items()}
        told = {"done": self.done, **self.patience.told}
        return {"arrays": packed(state), "told": json.dumps(told).encode()}

    def take_up(self, saved: Saved) -> None:
        found, told = unpacked(saved["arrays"], "dice", "dropout"), json.loads(saved["told"])
        put_into(self.module, {name: array for name, array in found.items() if name.startswith("net.")})
        self.dice.set_state(torch.from_numpy(found["dice"].copy()))
        torch.set_rng_state(torch.from_numpy(found["dropout"].copy()))
        self.best = {name.removeprefix("best."): array for name, array in found.items() if name.startswith("best.")}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, array in found.items():
            if name.startswith("optimiser."):
                _, at, which = name.split(".", 2)
                state.setdefault(int(at), {})[which] = torch.from_numpy(array.copy())
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.done = told["done"]
        self.patience.take_up(told)


class NetLearner:
    """Trains a net by AdamW (Loshchilov and Hutter 2019), an epoch a step, and keeps the best epoch."""

    suffix = "safetensors"

    def __init__(self, task: Task, made: Callable[[int], nn.Module], window: int = 1) -> None:
        self.task, self.window = task, window
        self.numbers = task.chosen.numbers
        self.total = int(self.numbers["epochs"])
        self._made = made
        self.device = "cuda" if task.on_gpu and torch.cuda.is_available() else "cpu"

    def fit(self, train: Part, stop: Part | None, watch: Watch, saved: Saved | None = None) -> Fitted:
        self._seed()
        samples, known = train.samples, usable(train.samples.x, train.samples.since, self.window)
        part, stop_part = _known(train, known), _known(stop, known) if stop is not None else None
        if not len(part.rows):
            raise InvalidInput("no bar has all of its features known", "choose a longer range", "train.features")
        net = Net(
            module=self._made(samples.x.shape[1]).to(self.device), scaling=Scaling.of(part.x), window=self.window,
            is_class=self.task.is_class,
            target=Scaling(np.zeros(()), np.ones(())) if self.task.is_class else Scaling.of(part.y),
        )  # fmt: skip
        patience = Patience(int(self.numbers["early_stopping"]) if stop is not None else 0)
        progress = Progress(net.module, self._optimiser(net.module), torch.Generator(), patience)
        progress.dice.manual_seed(self.task.seed)
        if saved is not None:
            progress.take_up(saved)
        scaled = net.scaled(samples.x)
        for done in range(progress.done + 1, self.total + 1):
            loss, is_whole = self._epoch(progress, net, scaled, part, watch)
            if not is_whole and progress.best:
                break  # what half an epoch made of it is nothing to keep
            told = self._loss(net, scaled, stop_part)
            is_over = progress.note(done, loss if stop_part is None else told)
            if not watch.step(done, (loss, told), None if is_over else progress.saved) or is_over:
                break
        put_into(net.module, progress.best)
        net.module.cpu()
        net.best = patience.best
        return net

    def _seed(self) -> None:
        os.environ.setdefault(
            "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
        )  # without it some of CUDA's sums come out as they like
        torch.set_num_threads(self.task.threads)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(self.task.seed)

    def _optimiser(self, module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            module.parameters(), self.numbers["learning_rate"], weight_decay=self.numbers["weight_decay"]
        )

    def _epoch(
        self, progress: Progress, net: Net, scaled: torch.Tensor, part: Part, watch: Watch
    ) -> tuple[float, bool]:  # fmt: skip
        """Learn from the rows, in an order that is drawn anew; answer the mean loss, and whether it was all of them."""
        progress.module.train()
        given = (net.target(part.y), part.weight)
        y, weight = (torch.from_numpy(each.astype(np.float32)).to(net.device) for each in given)
        total, seen, unit = 0.0, 0.0, float(net.target.deviation) ** 2
        for batch in torch.split(torch.randperm(len(y), generator=progress.dice), int(self.numbers["batch"])):
            progress.optimiser.zero_grad()
            said = progress.module(windows(scaled, part.rows[batch.numpy()], self.window))
            here = batch.to(net.device)
            losses = self._losses(said, y[here]) * weight[here]
            losses.mean().backward()
            progress.optimiser.step()
            total, seen = total + float(losses.detach().sum()), seen + float(weight[here].sum())
            if not watch.batch():
                break
        else:
            return unit * total / seen, True
        return unit * total / seen, False

    def _losses(self, said: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if self.task.is_class:
            return nn.functional.binary_cross_entropy_with_logits(said, y, reduction="none")
        return nn.functional.mse_loss(said, y, reduction="none")

    def _loss(self, net: Net, scaled: torch.Tensor, part: Part | None) -> float:
        if part is None:
            return float("nan")
        net.module.eval()
        with torch.no_grad():
            predicted = net.told(net.module(windows(scaled, part.rows, self.window)))
        return loss_of(predicted, part.y, part.weight, self.task.is_class)

    def read(self, content: bytes) -> Fitted:
        found = unpacked(content, "mean", "deviation", "target", "best")
        module = self._made(len(found["mean"]))
        put_into(module, {name: array for name, array in found.items() if name.startswith("net.")})
        scaling = Scaling(found["mean"], found["deviation"])
        return Net(
            module=module, scaling=scaling, window=self.window, is_class=self.task.is_class,
            target=Scaling(*found["target"]), best=int(found["best"][0]),
        )  # fmt: skip


def _known(part: Part, known: BOOL) -> Part:
    is_known = known[part.rows]
    return Part(samples=part.samples, rows=part.rows[is_known], weight=part.weight[is_known])


def perceptron(task: Task) -> NetLearner:
    """Answer the learner of layers over one bar."""
    numbers = task.chosen.numbers

    def made(inputs: int) -> nn.Module:
        return Layers(inputs, int(numbers["width"]), int(numbers["layers"]), numbers["dropout"])

    return NetLearner(task, made)


def recurrent(task: Task) -> NetLearner:
    """Answer the learner of a recurrent net over the last bars."""
    numbers = task.chosen.numbers

    def made(inputs: int) -> nn.Module:
        return Memory(inputs, int(numbers["width"]), numbers["dropout"])

    return NetLearner(task, made, int(numbers["window"]))
