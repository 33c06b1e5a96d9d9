"""What a user writes, with every default. No heavy imports: reading a configuration takes milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from search.targets import LatencyTarget, Target


class Strict(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Plugin(Strict):
    """A plugin by name; its parameters stand beside the name or under `params`."""

    name: str
    params: dict[str, Any] = {}


class Model(Plugin):
    """The dense network: a name of `paretoprune list models`, a torchvision name, or `package.module:function`."""

    weights: str | None = None


class Space(Strict):
    """Which candidates exist.

    The presets: `layerwise` and `stagewise` search an offset for every group or stage around the uniform allocator with
    the obs method and the step reconstruct; `methods` searches every allocator and method with their hyper-parameters
    and no offsets; `full` both, and the steps. Allocators, methods and steps that are written down, or `all`, take the
    preset's place.
    """

    preset: Literal["layerwise", "stagewise", "methods", "full"] = "layerwise"
    allocators: Annotated[tuple[Plugin, ...] | None, BeforeValidator(lambda value: _plugins(value))] = None
    methods: Annotated[tuple[Plugin, ...] | None, BeforeValidator(lambda value: _plugins(value))] = None
    steps: Annotated[tuple[Plugin, ...] | None, BeforeValidator(lambda value: _plugins(value))] = None
    offset: Annotated[float, Field(gt=0, le=0.9, description="largest number added to a group's removed fraction")] = (
        0.4
    )
    rounds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=30)], ...],
        Field(min_length=1, description="in how many cuts, with training between them; several are searched"),
    ] = (1,)
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    multiple_of: Annotated[int, Field(ge=1, le=1024)] = 1
    min_keep: Annotated[int, Field(ge=1)] = 1
    multiples: Annotated[dict[str, int], Field(description="pattern of group names: multiple")] = {}
    ratios: Annotated[
        dict[str, tuple[float, float]], Field(description="pattern of group names: bounds of the removed fraction")
    ] = {}

    @field_validator("rounds", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else value

    @field_validator("rounds")
    @classmethod
    def _all_different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must be different numbers")
        return value

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Halving(Strict):
    """Who goes on to the next rung of the ladder."""

    reduction: Annotated[int, Field(ge=2, description="one in this many goes on")] = 3
    similar: Annotated[float, Field(gt=0, description="trials compete whose MACs differ by at most this share")] = 0.1


class Latency(Strict):
    """Milliseconds of a forward pass: predicted from a table of measured layers."""

    table: Annotated[
        str | None, Field(description="of `paretoprune latency`; null measures here, once, for the run's folder")
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="of a table that is measured here")] = 1
    objective: Annotated[bool, Field(description="search three objectives: accuracy, MACs and latency")] = False


class Tracking(Strict):
    """MLflow, a view of the study."""

    enabled: bool = True
    uri: Annotated[str | None, Field(description="null: a file in the runs folder, no server needed")] = None
    experiment: str = "paretoprune"


class Workers(Strict):
    """Processes that evaluate candidates."""

    count: Annotated[int | None, Field(ge=1, description="null: as many as the machine or the cluster holds")] = None
    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[
        float | None, Field(ge=0, description="null: an equal share of the machine's GPUs; fractions share one")
    ] = None
    address: Annotated[str | None, Field(description="a Ray cluster; null starts one on this machine alone")] = None
    max_failures: Annotated[int, Field(ge=0, description="how often a trial whose worker died is tried again")] = 2
    timeout_seconds: Annotated[
        float | None, Field(gt=0, description="a worker silent for longer is ended and replaced")
    ] = 3600


class Config(Strict):
    """One search."""

    model: Annotated[Model, BeforeValidator(lambda value: _plugin(value))]
    weights: str | None = None
    data: Annotated[Plugin, BeforeValidator(lambda value: _plugin(value))]
    target_flops: str = "0.3:0.8"
    target_latency: str | None = None
    trials: Annotated[int, Field(ge=1)] = 60
    name: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(description="of the search's evaluations; auto: a probe takes bfloat16 where it is clearly faster"),
    ] = "auto"
    space: Space = Space()
    ladder: Annotated[tuple[Plugin, ...], BeforeValidator(lambda value: _rungs(value)), Field(min_length=1)] = (
        Plugin(name="recalibrate", params={"num_samples": 1024}),
    )
    halving: Halving = Halving()
    latency: Latency = Latency()
    sampler: Annotated[Plugin, BeforeValidator(lambda value: _plugin(value))] = Plugin(name="evolution")
    storage: Annotated[
        str | None, Field(description="an Optuna storage URL; null: a journal file in the run's folder")
    ] = None
    tracking: Tracking = Tracking()
    workers: Workers = Workers()
    give_up_after: Annotated[int, Field(ge=2, description="identical failures in a row that end the search")] = 5
    train_front: Annotated[
        int, Field(ge=0, description="so many members of the front are trained by the recipe `finetune` at the end")
    ] = 0
    baseline: Annotated[
        int,
        Field(
            ge=0,
            description="random draws of the same space on the same ladder, beside the search and unseen by it: "
            "what the proxy report compares it with",
        ),
    ] = 0
    finetune: Annotated[dict[str, Any], Field(description="recipe of the exported network's training")] = {}
    train: Annotated[
        dict[str, Any], Field(description="recipe of the dense network's training where there are no weights")
    ] = {}

    @field_validator("target_flops", "target_latency", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @property
    def target(self) -> Target:
        """The compute budget."""
        return Target.parse(self.target_flops)

    @property
    def latency_target(self) -> LatencyTarget | None:
        """The latency budget, if there is one."""
        return None if self.target_latency is None else LatencyTarget.parse(self.target_latency)

    @property
    def wants_latency(self) -> bool:
        """Whether latencies are predicted: for a budget, as an objective, or because there is a table."""
        return self.target_latency is not None or self.latency.objective or self.latency.table is not None

    @property
    def model_weights(self) -> str | None:
        """Where the dense weights lie, wherever the user wrote it."""
        return self.weights if self.weights is not None else self.model.weights

    @property
    def title(self) -> str:
        """A short name for runs of this configuration."""
        return self.name or self.model.name.replace(":", "-").rsplit(".", maxsplit=1)[-1]


def _plugin(value: object, *, key: str = "name") -> object:
    """`tpe`, {name: tpe, seed: 1} and {name: tpe, params: {seed: 1}} are the same."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        return value
    data = dict(value)
    if key in data:
        data["name"] = data.pop(key)
    beside = {name: data.pop(name) for name in set(data) - {"name", "params", "weights"}}
    params = data.get("params") or {}
    return {**data, "params": {**params, **beside}} if isinstance(params, Mapping) else value


def as_plugin(value: object) -> Plugin:
    """A plugin as users write it anywhere in a configuration.

    Raises:
        ValidationError: it is none.
    """
    return Plugin.model_validate(_plugin(value))


def _plugins(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    return [_plugin(item) for item in value] if isinstance(value, list | tuple) else value


def _rungs(value: object) -> object:
    if isinstance(value, str | Mapping):
        value = [value]
    return [_plugin(item, key="proxy") for item in value] if isinstance(value, list | tuple) else value
