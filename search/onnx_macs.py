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
    shapes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    # As written down, with the batch as a symbol: second choice, for what can't be derived.
    shapes |= _shapes(model.graph)
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes |= {name: shape for name, shape in _shapes(inferred).items() if all(shape)}
    return sum(_node_macs(node, shapes) for node in model.graph.node)


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Shapes by name; a size that is one symbol is the batch, 1, and any other that is no number is 0."""
    values = [value for value in (*graph.input, *graph.value_info, *graph.output) if value.type.HasField("tensor_type")]
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else int(dim.dim_param.isidentifier())
            for dim in value.type.tensor_type.shape.dim
        )
        for value in values
        if value.type.tensor_type.HasField("shape")
    }


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
