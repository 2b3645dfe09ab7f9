"""Who may use the pages: the user who has the printed address, from this machine only.

The token of the address becomes a cookie. Another page of the same browser can neither read nor
post here: the cookie is not sent from other sites, a request that changes something must come from
these pages (its Origin), and the name of the host must be one of this machine, so that no foreign
name can be pointed at it (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask, Request, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

TOKEN = "token"
_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_READING = frozenset({"GET", "HEAD"})
_OPEN = frozenset({"static", "base_style"})
_HEADERS = {
    # Styles may be inline: charts of a report set the length of a bar. Scripts may not.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, a browser would send no Origin with a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages have prompts and answers. A browser's cache on disk must not have them.
    "Cache-Control": "no-store",
}


def cookie_name(token: str) -> str:
    """Return the name of the cookie: another one for each process, as ports share cookies."""
    return f"bedrock-spark-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def guard(app: Flask, token: str) -> None:
    """Let an app answer only requests of the user who has the token."""
    cookie = cookie_name(token)

    @app.before_request
    def check() -> AnyResponse | None:
        if _host_of(request) not in _HOSTS:
            abort(403, "this page is served to this machine only")
        given = request.args.get(TOKEN)
        if given is not None and request.method in _READING and _same(given, token):
            response = redirect(_without_token(request.full_path), 303)
            response.set_cookie(cookie, token, httponly=True, samesite="Strict")
            return response
        # The style sheets have no data, and the page that refuses a stranger needs them.
        if request.endpoint in _OPEN and request.method in _READING:
            return None
        if not _same(request.cookies.get(cookie, ""), token):
            abort(403, "open the address that bedrock-spark ui printed: it has the token")
        if request.method not in _READING and request.origin != request.host_url.rstrip("/"):
            abort(403, "this request does not come from these pages")
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _host_of(asked: Request) -> str | None:
    """Return the name of the host that was asked for, without its port."""
    try:
        return urlsplit(f"//{asked.host}").hostname
    except ValueError:
        return None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _without_token(full_path: str) -> str:
    """Return a path with its query, without the token. It stays on this host."""
    parts = urlsplit(full_path)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != TOKEN]
    return f"/{parts.path.lstrip('/')}{'?' if query else ''}{urlencode(query)}"
