"""The proposer: deterministic, never a parent again, and honest about what it cannot do."""

import pytest

from agent.offline.proposer import OfflineProposer, read_schedules
from agent.offline.schedules import RowSchedule
from agent.values import Parent, Proposal, ProposalRequest
from dataset.values import Operator, TraceKind
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from verifier.values import Status, Verdict

SOFTMAX = library_task("softmax")
TRANSLATED = (
    *("cross_entropy", "gelu_tanh", "layernorm", "linear_bias_gelu", "log_softmax", "matmul", "relu"),
    *("residual_layernorm", "rmsnorm", "row_sum", "softmax", "softmax_backward"),
)
"""Library tasks of every kind that the proposer translates."""


@pytest.fixture
def proposer(tracer):
    return OfflineProposer(tracer)


def request(operator=Operator.TRANSLATE, parents=(), *, seed=1, ordinal=0, task=SOFTMAX):
    return ProposalRequest(task=task, device="sim:h100", operator=operator, parents=parents, seed=seed, ordinal=ordinal)


def parent(proposal: Proposal, number=1):
    assert proposal.candidate is not None
    verdict = Verdict(
        status=Status.PASSED,
        task_hash="",
        candidate_hash=proposal.candidate.content_hash,
        device="sim:h100",
        seed=0,
        checks=(),
    )
    return Parent(attempt=number, candidate=proposal.candidate, verdict=verdict)


def schedules(proposal):
    assert proposal.candidate is not None, proposal.problem
    found = read_schedules(proposal.candidate)
    assert found is not None
    return found


def differences(first, second):
    """Names of the fields in which two schedules of the same kind differ."""
    return {name for name in first.choices if getattr(first, name) != getattr(second, name)}


@pytest.mark.parametrize("slug", TRANSLATED)
def test_a_library_task_gets_distinct_kernels(proposer, slug):
    task = library_task(slug)
    proposals = [proposer.propose(request(ordinal=k, task=task)) for k in range(4)]
    assert all(proposal.problem == "" for proposal in proposals)
    assert len({proposal.candidate.content_hash for proposal in proposals}) == 4
    assert all(proposal.trace.kind is TraceKind.OFFLINE and proposal.trace.reasoning == "" for proposal in proposals)
    assert all(proposal.candidate.entry == task.direction.value for proposal in proposals)


def test_a_task_is_traced_once_and_the_same_request_gives_the_same_proposal(proposer, tracer):
    assert proposer.propose(request()) == proposer.propose(request())
    assert len(tracer.requests) == 1


def test_the_header_tells_the_schedules(proposer):
    (schedule,) = schedules(proposer.propose(request()))
    assert isinstance(schedule, RowSchedule)


def test_a_mutation_is_one_step_from_its_parent_and_seeds_differ(proposer):
    first = proposer.propose(request())
    mutated = [proposer.propose(request(Operator.MUTATE, (parent(first),), seed=seed)) for seed in range(6)]
    (origin,) = schedules(first)
    for proposal in mutated:
        (schedule,) = schedules(proposal)
        assert 1 <= len(differences(origin, schedule)) <= 2
    assert len({proposal.candidate.content_hash for proposal in mutated}) > 1


def test_a_mutation_avoids_every_parent(proposer):
    family = [proposer.propose(request(ordinal=k)) for k in range(3)]
    parents = tuple(parent(proposal, number) for number, proposal in enumerate(family))
    seen = {proposal.candidate.content_hash for proposal in family}
    for ordinal in range(8):
        proposal = proposer.propose(request(Operator.MUTATE, parents, ordinal=ordinal))
        assert proposal.candidate.content_hash not in seen


def test_a_crossover_takes_its_fields_from_both_parents(proposer):
    first, second = proposer.propose(request()), proposer.propose(request(ordinal=5))
    child = proposer.propose(request(Operator.CROSSOVER, (parent(first), parent(second, 2))))
    (ours,), (theirs,), (mixed,) = schedules(first), schedules(second), schedules(child)
    assert mixed not in (ours, theirs)
    for name in ours.choices:
        assert getattr(mixed, name) in (getattr(ours, name), getattr(theirs, name))


def test_a_repair_goes_on_to_the_next_best_guess(proposer):
    order = [schedules(proposer.propose(request(ordinal=k))) for k in range(3)]
    failed = proposer.propose(request(ordinal=1))
    assert schedules(proposer.propose(request(Operator.REPAIR, (parent(failed),)))) == order[2]


def test_a_parent_of_another_proposer_is_answered_with_a_translation(proposer):
    foreign = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text="// by hand"),))
    first = proposer.propose(request())
    stranger = parent(first).model_copy(update={"candidate": foreign})
    assert proposer.propose(request(Operator.MUTATE, (stranger,))).candidate is not None


@pytest.mark.parametrize(
    "line",
    [
        "// kernelwright-schedule: not json",
        "// kernelwright-schedule: []",
        '// kernelwright-schedule: {"stages": [1]}',
        '// kernelwright-schedule: {"stages": [{"kind": "row", "group": 3}]}',
        "",
    ],
)
def test_a_header_that_is_not_ours_is_no_schedule(line):
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=line),))
    assert read_schedules(candidate) is None


def test_an_op_without_a_schedule_is_a_problem_not_an_error(proposer, task_of):
    proposal = proposer.propose(request(task=task_of("torch.cumsum(x, -1)", x="a b")))
    assert proposal.candidate is None
    assert "cumsum" in proposal.problem
    assert proposal.trace.kind is TraceKind.OFFLINE
