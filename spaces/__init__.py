"""The nouns of paretoprune: groups, domains, candidates and spaces. Nothing here needs torch."""

from spaces.candidate import Candidate, Choice
from spaces.domain import Categorical, Domain, Float, Integer
from spaces.errors import InfeasibleError, ParetopruneError, PlanError, UserError
from spaces.group import ChannelGroup, Slice
from spaces.registry import Entry, Registry

__all__ = [
    "Candidate",
    "Categorical",
    "ChannelGroup",
    "Choice",
    "Domain",
    "Entry",
    "Float",
    "InfeasibleError",
    "Integer",
    "ParetopruneError",
    "PlanError",
    "Registry",
    "Slice",
    "UserError",
]
