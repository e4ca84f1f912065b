"""A worker's application with scripted proposer and evaluator; each evaluation takes EVALUATION_SECONDS."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext

from agent.jobs import make_celery
from agent.scripted import ScriptedEvaluator, ScriptedProposer
from agent.values import Proposer
from tasks.errors import UserError
from tests.agent.samples import write


def _open_proposer(model: str) -> Proposer:
    if model == "keyless":
        raise UserError("the model keyless needs a key")
    return ScriptedProposer(write)


def _open_evaluator() -> AbstractContextManager[ScriptedEvaluator]:
    seconds = float(os.environ.get("EVALUATION_SECONDS", "0"))
    return nullcontext(ScriptedEvaluator(before=lambda _: time.sleep(seconds)))


celery_app = make_celery(open_proposer=_open_proposer, open_evaluator=_open_evaluator)
