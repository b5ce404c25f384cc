"""How the description tells of answers that only some paths give."""

from __future__ import annotations

from typing import Any

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "Nothing of theirs to see", "content": _PROBLEM}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"description": "Not as it stands now", "content": _PROBLEM}}
