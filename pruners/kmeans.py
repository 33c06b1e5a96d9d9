"""k-means, small and repeatable: the same points and seed give the same clusters.

Shape legend: N points, D dimensions, G clusters, R restarts.
"""

import torch
from torch import Tensor

MAX_ITERATIONS = 100


def cluster(points_ND: Tensor, *, num_clusters: int, seed: int = 0, restarts: int = 4) -> tuple[Tensor, Tensor]:
    """Clusters of points by Lloyd's iterations from k-means++ starts; the tightest of all restarts.

    Args:
        points_ND: any floating type; computed in float64.
        num_clusters: at most N are made; some may stay empty where points coincide.
        seed: of the starts.
        restarts: independent runs, done side by side.

    Returns:
        Labels (N,), int64, numbered in the order in which clusters first appear, and their centres (clusters, D).
    """
    points = points_ND.double()
    num_clusters = min(num_clusters, len(points))
    generator = torch.Generator().manual_seed(seed)
    centres = _starts(points, num_clusters, restarts, generator)
    labels = torch.full((restarts, len(points)), -1)
    for _ in range(MAX_ITERATIONS):
        distances = _squared_distances(points, centres)
        nearest = distances.argmin(dim=2)
        if nearest.equal(labels):
            break
        labels = nearest
        centres = _means(points, labels, centres)
    spread = _squared_distances(points, centres).gather(2, labels[:, :, None]).sum(dim=(1, 2))
    best = int(spread.argmin())
    return _renumbered(labels[best], centres[best])


def balanced(points_ND: Tensor, centres_GD: Tensor) -> Tensor:
    """Labels (N,) that give every centre equally many points; N must be a multiple of the number of centres.

    The closest pairs of point and centre are served first, while the centre has room.
    """
    capacity = len(points_ND) // len(centres_GD)
    if capacity * len(centres_GD) != len(points_ND):
        raise ValueError(f"{len(points_ND)} points can't be shared evenly by {len(centres_GD)} centres")
    distances = _squared_distances(points_ND.double(), centres_GD.double()[None])[0]
    labels = torch.full((len(points_ND),), -1)
    room = [capacity] * len(centres_GD)
    for flat in distances.flatten().argsort(stable=True).tolist():
        point, centre = divmod(flat, len(centres_GD))
        if labels[point] < 0 and room[centre] > 0:
            labels[point] = centre
            room[centre] -= 1
    return labels


def _starts(points: Tensor, num_clusters: int, restarts: int, generator: torch.Generator) -> Tensor:
    """First centres (R, G, D): each next one is drawn by its squared distance to those before (k-means++)."""
    first = torch.randint(len(points), (restarts,), generator=generator)
    chosen = [first]
    nearest = (points[None] - points[first][:, None]).square().sum(dim=2)
    for _ in range(1, num_clusters):
        draw = torch.rand(restarts, 1, generator=generator, dtype=torch.float64)
        cumulated = nearest.cumsum(dim=1)
        following = torch.searchsorted(cumulated, draw * cumulated[:, -1:]).clamp_max(len(points) - 1)[:, 0]
        chosen.append(following)
        nearest = torch.minimum(nearest, (points[None] - points[following][:, None]).square().sum(dim=2))
    return points[torch.stack(chosen, dim=1)]


def _squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """(R, N, G), up to rounding."""
    lengths = points.square().sum(dim=1)[None, :, None] + centres.square().sum(dim=2)[:, None, :]
    return (lengths - 2 * points @ centres.transpose(1, 2)).clamp_min(0)


def _means(points: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Centres (R, G, D) of labelled points; an empty cluster keeps its own."""
    member = torch.nn.functional.one_hot(labels, centres.size(1)).double()
    sizes = member.sum(dim=1)[:, :, None]
    return torch.where(sizes > 0, member.transpose(1, 2) @ points / sizes.clamp_min(1), centres)


def _renumbered(labels: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    order = list(dict.fromkeys(labels.tolist()))
    number = {old: new for new, old in enumerate(order)}
    return torch.tensor([number[old] for old in labels.tolist()]), centres[order]
