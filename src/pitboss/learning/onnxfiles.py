"""Models as ONNX, for whoever asks them elsewhere: an export, which pitboss does not read back.

The input `features` is (rows, features), of a recurrent net (rows, bars, features), single precision. A booster of
classes answers a label and the probabilities of both, whatever else one number a row.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from pitboss.core.errors import InvalidInput
from pitboss.learning.boosting import Boosted
from pitboss.learning.classic import ForestModel, LinearModel
from pitboss.learning.learner import Fitted

OPSET, ML_OPSET, IR = 15, 3, 8
INPUT, OUTPUT = "features", "prediction"


def exported(fitted: Fitted, count: int) -> bytes:
    """Answer the ONNX file of a model of so many features."""
    match fitted:
        case Boosted():
            typed = [(INPUT, FloatTensorType([None, count]))]
            made = convert_lightgbm(fitted.booster, initial_types=typed, zipmap=False, target_opset=OPSET)
        case LinearModel():
            made = _of_line(fitted, count)
        case ForestModel():
            made = _of_forest(fitted, count)
        case _:
            return _of_net(fitted, count)
    onnx.checker.check_model(made)
    content: bytes = made.SerializeToString()
    return content


def _model(nodes: list[Any], initializers: list[Any], count: int) -> Any:
    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, count])
    told = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(nodes, "pitboss", [given], [told], initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def _of_line(fitted: LinearModel, count: int) -> Any:
    weights = fitted.weights / fitted.scaling.deviation
    intercept = fitted.intercept - float(weights @ fitted.scaling.mean)
    arrays = {"weights": weights.reshape(-1, 1), "intercept": np.array([intercept])}
    tensors = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    sums = OUTPUT if not fitted.is_class else "sums"
    nodes = [
        helper.make_node("MatMul", [INPUT, "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "intercept"], [sums]),
    ]
    if fitted.is_class:
        nodes.append(helper.make_node("Sigmoid", ["sums"], [OUTPUT]))
    return _model(nodes, tensors, count)


def _of_forest(fitted: ForestModel, count: int) -> Any:
    arrays = fitted.arrays
    sizes = np.diff(np.append(arrays["roots"], len(arrays["feature"])))
    tree, root = np.repeat(np.arange(len(sizes)), sizes), np.repeat(arrays["roots"], sizes)
    is_leaf = arrays["left"] < 0
    leaves = np.flatnonzero(is_leaf)
    own = np.arange(len(tree)) - root
    follow = {name: np.where(is_leaf, 0, arrays[name] - root).tolist() for name in ("left", "right")}
    node = helper.make_node(
        "TreeEnsembleRegressor", [INPUT], [OUTPUT], domain="ai.onnx.ml", n_targets=1, aggregate_function="AVERAGE",
        nodes_treeids=tree.tolist(), nodes_nodeids=own.tolist(),
        nodes_featureids=np.where(is_leaf, 0, arrays["feature"]).tolist(),
        nodes_modes=["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf],
        nodes_values=np.where(is_leaf, 0.0, _below(arrays["threshold"])).astype(np.float32).tolist(),
        nodes_truenodeids=follow["left"], nodes_falsenodeids=follow["right"],
        target_treeids=tree[leaves].tolist(), target_nodeids=own[leaves].tolist(),
        target_ids=[0] * len(leaves), target_weights=arrays["value"][leaves].astype(np.float32).tolist(),
    )  # fmt: skip
    return _model([node], [], count)


def _below(thresholds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Answer thresholds in single precision, none of them rounded up: a row that went right still does."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _of_net(fitted: Any, count: int) -> bytes:
    import torch
    from torch import nn

    class Whole(nn.Module):
        """A net with its scaling."""

        def __init__(self) -> None:
            super().__init__()
            self.net = fitted.module
            for name in ("mean", "deviation"):
                self.register_buffer(name, torch.tensor(getattr(fitted.scaling, name), dtype=torch.float32))

        def forward(self, x: Any) -> Any:
            said = self.net((x - self.mean) / self.deviation)
            if fitted.is_class:
                return torch.sigmoid(said)
            return said * float(fitted.target.deviation) + float(fitted.target.mean)

    shape = (2, count) if fitted.window == 1 else (2, fitted.window, count)
    file = io.BytesIO()
    try:
        torch.onnx.export(
            Whole().eval(), (torch.zeros(shape),), file, input_names=[INPUT], output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "rows"}, OUTPUT: {0: "rows"}}, dynamo=False, opset_version=OPSET,
        )  # fmt: skip
    except RuntimeError as error:
        raise InvalidInput(f"this net cannot be written as ONNX: {error}"[:300], "export it as .zip") from None
    return file.getvalue()
