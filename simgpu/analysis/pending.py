"""Where lanes wait while others run: the pending sets behind masks and reconvergence.

A warp runs one block at a time with the mask of the lanes that are there. A branch that parts the lanes
leaves some of them *pending* at another block. After each block the warp goes to the first block, in the
order of `Graph.next_key`, at which lanes are pending. A jump that can find no lanes waiting before its
target needs no test and is a plain jump.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from simgpu.analysis.graph import Graph, Leave


@dataclass(frozen=True, slots=True)
class Pending:
    """For each block, a bit set of the blocks at which lanes may wait while it runs."""

    graph: Graph
    at: dict[int, int]

    def candidates(self, block: int, targets: Collection[int]) -> list[int]:
        """List where a warp may go from the end of `block` after lanes were sent to `targets`, first choice first."""
        return _sorted(self.graph, block, self.at[block] | _bits(targets))

    def turns(self, block: int) -> list[int]:
        """List where lanes may wait while others spin in a loop that begins at `block`, first choice first."""
        return [other for other, _ in _turns(self.graph, block, self.at[block])]

    def first_is(self, block: int, target: int) -> bool:
        """Whether all lanes of `block` that jump to `target` go there at once, whatever waits elsewhere."""
        return self.candidates(block, (target,))[0] == target


def find_pending(graph: Graph, divergent: Collection[int]) -> Pending:
    """Compute the pending sets, given the blocks whose terminators part the lanes."""
    at = dict.fromkeys(graph.order, 0)
    work = list(graph.order)
    while work:
        block = work.pop(0)
        if isinstance(graph.blocks[block].terminator, Leave):
            continue
        successors = graph.blocks[block].successors
        groups = [successors] if block in divergent else [(target,) for target in successors]
        for group in groups:
            for target, waiting in _arrivals(graph, block, at[block], group, parted=block in divergent):
                if at[target] | waiting != at[target]:
                    at[target] |= waiting
                    work.append(target)
        for target, waiting in _turns(graph, block, at[block]):
            if at[target] | waiting != at[target]:
                at[target] |= waiting
                work.append(target)
    return Pending(graph, at)


def _turns(graph: Graph, block: int, waiting: int) -> list[tuple[int, int]]:
    """Pair each block that may get its turn while lanes spin in a loop with the set then still waiting.

    Lanes at a barrier get none: they wait for those that spin.
    """
    if block not in graph.spins:
        return []
    idle = {graph.exit, block, *graph.barriers}
    others = [other for other in _sorted(graph, block, waiting) if other not in idle]
    return [(other, (waiting | 1 << block) & ~(1 << other)) for other in others]


def _arrivals(
    graph: Graph, block: int, waiting: int, targets: Collection[int], *, parted: bool
) -> list[tuple[int, int]]:
    """Pair each block that may run next with the set then still waiting."""
    chain = _sorted(graph, block, waiting | _bits(targets))
    if not parted and chain[0] in targets:
        return [(chain[0], _bits(chain[1:]))]
    return [(candidate, _bits(chain[place + 1 :])) for place, candidate in enumerate(chain)]


def _sorted(graph: Graph, block: int, members: int) -> list[int]:
    found = []
    while members:
        lowest = members & -members
        found.append(lowest.bit_length() - 1)
        members ^= lowest
    found.sort(key=lambda candidate: graph.next_key(block, candidate))
    return found


def _bits(blocks: Collection[int]) -> int:
    total = 0
    for block in blocks:
        total |= 1 << block
    return total
