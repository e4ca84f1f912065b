"""The child side of a task: executes the untrusted reference source. Imports torch; never import it in a judge.

`Reference` runs one source at one set of sizes; `probe` finds out what a source is. Everything that goes wrong is
a `UserError` of one sentence, because the reference is the user's.
"""

from tasks.reference.probing import probe
from tasks.reference.running import BackwardResult, Reference
from tasks.reference.tracing import split
from tasks.values import ProbeResult

__all__ = ["BackwardResult", "ProbeResult", "Reference", "probe", "split"]
