"""Measuring networks: models, data, training, proxies and the worker that evaluates candidates."""

from evaluators.artifact import load_slim, save_slim
from evaluators.evaluation import Evaluation
from evaluators.recipe import Recipe
from evaluators.registries import DATASETS, MODELS, PROXIES, REGIMES
from evaluators.score import Score
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task

__all__ = [
    "DATASETS",
    "MODELS",
    "PROXIES",
    "REGIMES",
    "DataSpec",
    "Evaluation",
    "ModelSpec",
    "Recipe",
    "Score",
    "Task",
    "TaskSpec",
    "load_slim",
    "save_slim",
]
