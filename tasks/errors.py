"""Every error that Kernelwright raises on purpose, as one tree.

KernelwrightError
├── CandidateError   the kernel's fault: scored against the candidate, never retried
├── InfraError       the machine's fault: retried, never scored
└── UserError        the user's mistake: one clear sentence with its remedy, exit code 2
"""


class KernelwrightError(Exception):
    """Base of every deliberate error; its text is a sentence fit to show to a user."""


class CandidateError(KernelwrightError):
    """The candidate is at fault: its source does not build, crashes or computes the wrong thing."""


class InfraError(KernelwrightError):
    """The machine is at fault (no sandbox, lost device, full disk): the candidate is not scored."""


class UserError(KernelwrightError):
    """The user asked for something impossible; the message names the mistake and the remedy."""
