"""Command line: how a person reaches everything else."""
