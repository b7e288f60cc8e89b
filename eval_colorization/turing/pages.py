"""The pages of a visual Turing test: the participant's, the researcher's, and short notices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval_colorization.turing.admin import Counts
from eval_colorization.turing.key import Key
from pretext.html_page import render_page

TEMPLATES = Path(__file__).parent / "templates"


def participant_page(test: Mapping[str, Any]) -> str:
    """The self-contained page of one form; its images lie beside it in `images/`.

    Its policy allows its own style and script, images of its own folder or server, answers to that server, and
    nothing else.

    Args:
        test: the JSON that `templates/session.js` reads and describes.
    """
    return render_page(
        TEMPLATES / "index.html",
        files=("style.css", "session.js", "script.js"),
        policy="img-src 'self' file: data:; connect-src 'self'",
        test=test,
    )


def admin_page(counts: Counts, key: Key, *, base_url: str, token: str, nonce: str) -> str:
    """The state of a served test, its links, and a form that makes more of them.

    Args:
        counts: of `count`.
        base_url: where the participants' links begin, without a slash at the end.
        token: goes into the form that makes invitations.
        nonce: of the style and the script, for the Content-Security-Policy.
    """
    return render_page(
        TEMPLATES / "admin.html", counts=counts, key=key, base_url=base_url, token=token, nonce=nonce
    )


def notice_page(title: str, text: str, refresh: str | None = None) -> str:
    """A few words.

    Args:
        refresh: the address that is opened next.
    """
    return render_page(TEMPLATES / "notice.html", title=title, text=text, refresh=refresh)
