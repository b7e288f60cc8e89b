"""The page a participant sees: HTML, style and script of `page/` put together with the trials of one form."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"

# In a script block "</script>" and "<!--" mean something to HTML; as JSON escapes they are the same text.
HTML_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render_page(test: Mapping[str, Any]) -> str:
    """The self-contained page of one form; its images lie beside it in `images/`.

    Its policy allows its own style and script, images of its own folder or server, answers to that server, and
    nothing else.

    Args:
        test: the JSON that `page/session.js` reads and describes.
    """
    sources = {name: _read(name) for name in ("style.css", "session.js", "script.js")}
    allowed = {name: f"'sha256-{_digest(source)}'" for name, source in sources.items()}
    policy = (
        f"default-src 'none'; style-src {allowed['style.css']}; "
        f"script-src {allowed['session.js']} {allowed['script.js']}; "
        "img-src 'self' file: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    parts = {**sources, "policy": policy, "test.json": json.dumps(test).translate(HTML_SAFE)}
    return re.sub(r"\{\{([\w.]+)\}\}", lambda placeholder: parts[placeholder[1]], _read("index.html"))


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    """By this a content security policy knows an inline style or script."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
