"""Reads the suites of other projects: each becomes the same `Task` that a user's own file does.

An `Importer` finds the tasks below a folder and reads one without executing anything of it; `import_found` has the
reference probed in the sandbox and makes the task. What cannot be carried over is named, with the reason. `module`
makes a task of a class or function in a user's own package.
"""

from tasks.importers.importing import Importer, import_found
from tasks.importers.suites import find_tasks, importer_of, is_suite_name, read_suite_task
from tasks.importers.values import Draft, Found, Imported, Suite

__all__ = [
    "Draft",
    "Found",
    "Imported",
    "Importer",
    "Suite",
    "find_tasks",
    "import_found",
    "importer_of",
    "is_suite_name",
    "read_suite_task",
]
