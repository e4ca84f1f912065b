"""Live registers, per lane, as bit sets over register indices."""

from __future__ import annotations

from simgpu.analysis.graph import Block, Branch, Graph, Switch
from simgpu.analysis.operands import read, written


def live_in(graph: Graph) -> dict[int, int]:
    """Return the registers live at each reachable block's entry."""
    uses: dict[int, int] = {}
    kills: dict[int, int] = {}
    for index in graph.order:
        uses[index], kills[index] = _summary(graph.blocks[index])
    live = dict.fromkeys(graph.order, 0)
    changed = True
    while changed:
        changed = False
        for index in reversed(graph.order):
            after = 0
            for successor in graph.blocks[index].successors:
                after |= live[successor]
            before = uses[index] | after & ~kills[index]
            if before != live[index]:
                live[index] = before
                changed = True
    return live


def _summary(block: Block) -> tuple[int, int]:
    """Return what a block reads before it writes it, and what it surely writes."""
    used = killed = 0
    for instruction in block.instructions:
        for register in read(instruction):
            used |= (1 << register.index) & ~killed
        if instruction.predicate is not None:
            used |= (1 << instruction.predicate.index) & ~killed
            continue
        for register in written(instruction):
            killed |= 1 << register.index
    end = block.terminator
    if isinstance(end, Branch):
        used |= (1 << end.predicate.index) & ~killed
    elif isinstance(end, Switch):
        used |= (1 << end.index.index) & ~killed
    return used, killed
