"""From a data spec to splits. The test split is read by one function that no worker calls."""

from collections.abc import Mapping
from typing import Any

from evaluators.callables import call, import_function
from evaluators.registries import DATASETS
from evaluators.sources import Sources, read_source, to_split
from evaluators.specs import DataSpec, TaskSpec
from evaluators.split import Split, Splits
from spaces import UserError

COMMON_OPTIONS = ("num_train", "num_search", "mean", "std", "augment")
"""Parameters of every data set; `DataSpec` describes them."""

SEARCH_SAMPLES = 2500
"""Images that candidates are scored on unless `num_search` says otherwise: the standard error of an accuracy p on n
images is sqrt(p (1 - p) / n), at most 0.01 here; four times the images would only halve it."""


def load_splits(spec: TaskSpec | DataSpec) -> Splits:
    """Train and search split, decoded, on the processor; the test split is not touched.

    Raises:
        UserError: unknown data set or parameter; files are missing; sources, labels and options do not fit together.
    """
    sources, options = _open(spec)
    limits = {"train": _limit(options, "num_train"), "search": _limit(options, "num_search") or SEARCH_SAMPLES}
    arrays = [
        read_source(source, limit=limits[part], key=f"data: {part}")
        for part, source in (("train", sources.train), ("search", sources.search))
    ]
    train, search = (to_split(a, sources, options, key="data") for a in arrays)
    largest = int(max(train.labels.max(), search.labels.max()))
    names = sources.class_names or tuple(map(str, range(largest + 1)))
    smallest = int(min(train.labels.min(), search.labels.min()))
    if smallest < 0 or largest >= len(names):
        raise UserError("data", None, f"labels must be 0 to {len(names) - 1}, found {smallest} to {largest}")
    if train.images.shape[1:] != search.images.shape[1:]:
        shapes = f"{tuple(train.images.shape[1:])} and {tuple(search.images.shape[1:])}"
        raise UserError("data", None, f"train and search images must have one shape, found {shapes}")
    return Splits(train=train, search=search, num_classes=len(names), class_names=names)


def load_test(spec: TaskSpec | DataSpec) -> Split:
    """The test split, decoded, on the processor.

    Raises:
        UserError: as `load_splits`.
    """
    sources, options = _open(spec)
    return to_split(read_source(sources.test, limit=None, key="data: test"), sources, options, key="data: test")


def _open(spec: TaskSpec | DataSpec) -> tuple[Sources, Mapping[str, Any]]:
    data = spec.data if isinstance(spec, TaskSpec) else spec
    options = {key: value for key, value in data.params.items() if key in COMMON_OPTIONS and value is not None}
    own = {key: value for key, value in data.params.items() if key not in COMMON_OPTIONS}
    if ":" in data.name:
        factory = import_function(data.name, key="data.name")
    else:
        factory = DATASETS.entry(data.name, key="data.name").target
    sources = call(factory, own, key="data.params", given={})
    if isinstance(sources, tuple) and len(sources) == 3:
        sources = Sources(train=sources[0], search=sources[1], test=sources[2])
    if not isinstance(sources, Sources):
        rule = f"must return (train, search, test) or evaluators.sources.Sources, returned {type(sources).__name__}"
        raise UserError("data.name", data.name, rule)
    return sources, options


def _limit(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UserError(f"data.params.{name}", value, "must be a whole number of at least 1")
    return value
