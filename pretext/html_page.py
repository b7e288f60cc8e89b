"""Pages of one HTML file: a template with its style and scripts inside, under a policy that lets nothing else run."""

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image


def render_page(
    template: Path,
    *,
    files: Sequence[str] = (),
    policy: str = "",
    filters: Mapping[str, Callable[..., Any]] | None = None,
    **values: Any,
) -> str:
    """The page that `template` makes of `values`.

    Args:
        template: a Jinja file; what it prints is escaped. It finds the text of `files` as `files["style.css"]` and the
            content security policy as `policy`: nothing is loaded, sent or run but these files.
        files: names of styles (.css) and scripts (.js) beside the template that it prints inside itself.
        policy: further directives of the policy.
        filters: functions for the template.
    """
    texts = {name: (template.parent / name).read_text(encoding="utf-8") for name in files}
    directives = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    for directive, suffix in (("style-src-elem", ".css"), ("script-src", ".js")):
        if digests := [f"'sha256-{_digest(text)}'" for name, text in texts.items() if name.endswith(suffix)]:
            directives.append(f"{directive} {' '.join(digests)}")
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template.name).render(
        files={name: Markup(text) for name, text in texts.items()},
        policy="; ".join([*directives, policy] if policy else directives),
        **values,
    )


def thumbnail_uri(image: Image.Image, side: int) -> str:
    """The picture as a data URI, a JPEG of at most `side` x `side` pixels."""
    thumbnail = image.copy()
    thumbnail.thumbnail((side, side))
    file = io.BytesIO()
    thumbnail.save(file, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
