"""Frequent Directions: exact where there is room, within its bound where there is not."""

import pytest
import torch

from pruners import STEPS, Plan, slim
from pruners.steps.sketch import frequent_directions
from tests.oracle.toy import chain


def test_exact_where_the_rows_hold_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 3, generator=generator, dtype=torch.float64) @ torch.randn(
        3, 30, generator=generator, dtype=torch.float64
    )
    sketch = frequent_directions(rows, 3)
    torch.testing.assert_close(sketch.T @ sketch, rows.T @ rows)


@pytest.mark.parametrize("num_rows", [2, 5, 16])
def test_published_bound(num_rows: int) -> None:
    rows = torch.randn(32, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sketch = frequent_directions(rows, num_rows)
    assert sketch.shape == (num_rows, 24)
    difference = torch.linalg.matrix_norm(rows.T @ rows - sketch.T @ sketch, ord=2)
    assert difference <= rows.square().sum() / num_rows


def test_by_hand() -> None:
    # two rows fill the buffer; squared singular values 9 and 4 shrink by 4; with the third row they are 5 and 1
    sketch = frequent_directions(torch.tensor([[3.0, 0], [0, 2], [0, 1]], dtype=torch.float64), 1)
    torch.testing.assert_close(sketch.abs(), torch.tensor([[2.0, 0]], dtype=torch.float64))


def test_filters_have_unit_norm_and_the_plans_shape() -> None:
    torch.manual_seed(0)
    model, analysis, evidence = chain(torch.randn(8, 5).tolist(), torch.randn(6, 8).tolist(), [[1.0] * 6])
    plan = Plan.of({group.name: range(group.width // 2) for group in analysis.groups})
    small = slim(model, analysis.groups, plan)
    sketched = STEPS.build("sketch").apply(small, groups=analysis.groups, plan=plan, dense=model, evidence=evidence)
    shapes = [tuple(layer.weight.shape) for layer in sketched.layers]
    assert shapes == [(4, 5), (3, 4), (1, 3)]
    for layer in sketched.layers[:2]:
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(len(layer.weight), dtype=torch.float64))
