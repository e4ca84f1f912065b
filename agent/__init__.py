"""Agent: proposers, the translate-and-evolve loop, budgets, and the Celery jobs that run it."""
