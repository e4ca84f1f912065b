"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = "${up_revision}"
down_revision = ${f'"{down_revision}"' if down_revision else None}
branch_labels = ${branch_labels}
depends_on = ${depends_on}

# Revisions only go up: undoing one would throw attempts away. Spell types as the database sees them.


def upgrade() -> None:
    """${message}."""
    ${upgrades if upgrades else "pass"}
