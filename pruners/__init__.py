"""The verbs on a network: trace, cost, evidence, plan, slim; and the plugins that decide how many and which."""

from pruners.analysis import Analysis, analyse
from pruners.budget import fit
from pruners.cost import CostModel, LayerCost
from pruners.counters import Counts, count, count_macs
from pruners.decide import make_plan
from pruners.evidence import Evidence, gather_evidence
from pruners.plan import Plan
from pruners.registries import ALLOCATORS, METHODS, STEPS
from pruners.rules import GroupRules
from pruners.slim import resize, slim

__all__ = [
    "ALLOCATORS",
    "METHODS",
    "STEPS",
    "Analysis",
    "CostModel",
    "Counts",
    "Evidence",
    "GroupRules",
    "LayerCost",
    "Plan",
    "analyse",
    "count",
    "count_macs",
    "fit",
    "gather_evidence",
    "make_plan",
    "resize",
    "slim",
]
