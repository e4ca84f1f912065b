"""What docs/dataset.md says is so."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import create_engine

from dataset.chat import ChatRow
from dataset.engine import parse_url
from dataset.models import Base
from dataset.settings import DatasetSettings
from dataset.values import Operator

TEXT = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text(encoding="utf-8")


def test_the_query_gives_the_fastest_kernel_of_each_task_first(archive, samples):
    run = archive.create_run(samples.config())
    for number, speedup in enumerate((1.5, 3.0)):
        candidate = samples.candidate(f"// {number}")
        archive.record_proposal(
            run.id,
            number,
            generation=0,
            operator=Operator.TRANSLATE,
            parents=(),
            candidate=candidate,
            trace=samples.trace(),
        )
        archive.record_outcome(run.id, number, samples.verdict(candidate), samples.measurement(candidate, speedup))
    (query,) = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    engine = create_engine(parse_url(archive.url))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query.strip().removesuffix(";")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [("relu", run.id, 1, 3.0), ("relu", run.id, 0, 1.5)]


def test_every_table_column_and_setting_is_described():
    for table in Base.metadata.tables:
        assert f"| `{table}` |" in TEXT
    for column in ChatRow.model_fields:
        assert f"`{column}`" in TEXT
    for setting in DatasetSettings.model_fields:
        assert f"KERNELWRIGHT_{setting.upper()}" in TEXT
