"""How raw candidates are launched: the specification, and the expressions in it."""
