"""Studies: many audits that differ in named factors, and their comparison.

`read_study` reads the file, `plan_of` says which models are trained and which audits are made of them, `run_study` makes
what is not there yet and writes one tidy table and one page.
"""

from rote.study.design import Cell, Study, read_study
from rote.study.plan import Audit, Plan, TrainedModel, plan_of
from rote.study.running import run_study

__all__ = ["Audit", "Cell", "Plan", "Study", "TrainedModel", "plan_of", "read_study", "run_study"]
