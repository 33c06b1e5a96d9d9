"""MACs of an ONNX file, counted on its own graph: a check on what other counters said of the network it came from."""

import math
from pathlib import Path
from typing import Any

_PRODUCTS = ("MatMul", "Gemm")


def onnx_macs(path: Path) -> int:
    """Multiply-adds of convolutions and matrix products for one image.

    The batch is fixed to one and every shape derived from that, so that symbolic sizes disappear.

    Raises:
        ValueError: the shape of a tensor that is multiplied is not known.
    """
    import onnx

    model = onnx.load(path)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    # Shapes written down with symbols would be kept instead of derived.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {item.name: tuple(item.dims) for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return sum(_node_macs(node, shapes) for node in graph.node)


def _node_macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":
        return _size(node.output[0], shapes) * math.prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return _size(node.input[0], shapes) * math.prod(shapes[node.input[1]][1:])
    if node.op_type in _PRODUCTS:
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        left = shapes[node.input[0]]
        return _size(node.output[0], shapes) * left[0 if transposed else -1]
    return 0


def _size(name: str, shapes: dict[str, tuple[int, ...]]) -> int:
    size = math.prod(shapes.get(name, (0,)))
    if size == 0:
        raise ValueError(f"the shape of {name} is not known")
    return size
