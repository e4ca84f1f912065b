"""Makes tasks of what others wrote: a class or function in a user's own package."""
