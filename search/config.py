"""What a user writes, with every default. No heavy imports: reading a configuration takes milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from search.targets import Target


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
    """Which candidates exist. For allocators and methods, null and `all` mean every registered one."""

    preset: Literal["layerwise", "stagewise", "methods", "full"] = "layerwise"
    allocators: Annotated[tuple[Plugin, ...] | None, BeforeValidator(lambda value: _plugins(value))] = None
    methods: Annotated[tuple[Plugin, ...] | None, BeforeValidator(lambda value: _plugins(value))] = None
    steps: Annotated[tuple[Plugin, ...], BeforeValidator(lambda value: _plugins(value))] = ()
    offset: float = Field(0.25, gt=0, le=0.9, description="largest number added to a group's removed fraction")
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    multiple_of: int = Field(1, ge=1, le=1024)
    min_keep: int = Field(1, ge=1)

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Halving(Strict):
    """Who goes on to the next rung of the ladder."""

    reduction: int = Field(3, ge=2, description="one in this many goes on")
    similar: float = Field(0.1, gt=0, description="trials compete whose MACs differ by at most this share")


class Tracking(Strict):
    """MLflow, a view of the study."""

    enabled: bool = True
    uri: str | None = Field(None, description="null: a file in the runs folder, no server needed")
    experiment: str = "paretoprune"


class Workers(Strict):
    """Processes that evaluate candidates."""

    count: int | None = Field(None, ge=1, description="null: as many as the machine or the cluster holds")
    cpus: float = Field(1, gt=0)
    gpus: float | None = Field(
        None, ge=0, description="null: an equal share of the machine's GPUs; fractions share one"
    )
    address: str | None = Field(None, description="a Ray cluster; null starts one on this machine alone")
    max_failures: int = Field(2, ge=0, description="how often a trial whose worker died is tried again")
    timeout_seconds: float | None = Field(3600, gt=0, description="a worker silent for longer is ended and replaced")


class Config(Strict):
    """One search."""

    model: Annotated[Model, BeforeValidator(lambda value: _plugin(value))]
    weights: str | None = None
    data: Annotated[Plugin, BeforeValidator(lambda value: _plugin(value))]
    target_flops: str = "0.3:0.8"
    trials: int = Field(60, ge=1)
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    space: Space = Space()
    ladder: Annotated[tuple[Plugin, ...], BeforeValidator(lambda value: _rungs(value))] = Field(
        (Plugin(name="recalibrate", params={"num_samples": 1024}),), min_length=1
    )
    halving: Halving = Halving()
    sampler: Annotated[Plugin, BeforeValidator(lambda value: _plugin(value))] = Plugin(name="tpe")
    storage: str | None = Field(None, description="an Optuna storage URL; null: a journal file in the run's folder")
    tracking: Tracking = Tracking()
    workers: Workers = Workers()
    give_up_after: int = Field(5, ge=2, description="identical failures in a row that end the search")
    finetune: dict[str, Any] = Field({}, description="recipe of the exported network's training")
    train: dict[str, Any] = Field({}, description="recipe of the dense network's training where there are no weights")

    @field_validator("target_flops", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @property
    def target(self) -> Target:
        """The compute budget."""
        return Target.parse(self.target_flops)

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


def _plugins(value: object) -> object:
    if value == "all":
        return None
    if isinstance(value, str):
        value = [value]
    return [_plugin(item) for item in value] if isinstance(value, list | tuple) else value


def _rungs(value: object) -> object:
    if isinstance(value, str | Mapping):
        value = [value]
    return [_plugin(item, key="proxy") for item in value] if isinstance(value, list | tuple) else value
