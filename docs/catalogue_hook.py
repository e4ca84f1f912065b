"""Adds a page for each library task to the documentation while it is built; MkDocs calls `on_files`."""  # noqa: INP001 - MkDocs loads it by its path

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tasks.loading import library
from tasks.trusted import TrustedOutliner
from tasks.values import Purpose
from verifier.catalogue import catalogue_index, task_page
from verifier.cost import task_costs


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add `catalogue/index.md` and `catalogue/SLUG.md`."""
    pages = {"index": catalogue_index(library())}
    for task in library():
        pages[task.slug] = task_page(task, task_costs(task, TrustedOutliner(task), Purpose.BENCH))
    for name, page in pages.items():
        files.append(File.generated(config, f"catalogue/{name}.md", content=page))
    return files
