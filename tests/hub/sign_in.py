"""Signing in with the Hub: an OpenID provider that lets everybody in as ``store.person``.

Authorization code flow with a signed id token (OpenID Connect Core 1.0, section 3.1); HS256, whose
key is published, as nobody has to be kept out.
"""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs, urlencode

from tests.hub.protocol import Request, Response, reply, route
from tests.hub.store import Store

SCOPES = "openid profile contribute-repos"
_KEY = b"of the id tokens, published below"


@route("GET", "/.well-known/openid-configuration")
def configuration(store: Store, request: Request) -> Response:
    return reply(
        {
            "issuer": request.origin,
            "authorization_endpoint": f"{request.origin}/oauth/authorize",
            "token_endpoint": f"{request.origin}/oauth/token",
            "jwks_uri": f"{request.origin}/oauth/jwks",
            "id_token_signing_alg_values_supported": ["HS256"],
        }
    )


@route("GET", "/oauth/jwks")
def keys(store: Store, request: Request) -> Response:
    return reply({"keys": [{"kty": "oct", "k": _base64(_KEY), "alg": "HS256"}]})


@route("GET", "/oauth/authorize")
def authorize(store: Store, request: Request) -> Response:
    """Where a person would be asked whether to let the app in; they always say yes."""
    asked = {name: values[0] for name, values in request.query.items()}
    code = store.grant(store.person, asked["client_id"], asked.get("nonce", ""))
    back = urlencode({"code": code, "state": asked["state"]})
    joint = "&" if "?" in asked["redirect_uri"] else "?"
    return Response(302, b"", {"Location": f"{asked['redirect_uri']}{joint}{back}"})


@route("POST", "/oauth/token")
def token(store: Store, request: Request) -> Response:
    person, client, nonce = store.redeem(parse_qs(request.body.decode())["code"][0])
    now = int(time.time())
    claims = {
        "iss": request.origin,
        "sub": hashlib.sha1(person.encode()).hexdigest(),
        "aud": client,
        "iat": now,
        "exp": now + 3600,
        "nonce": nonce,
        "name": person.title(),
        "preferred_username": person,
        "profile": f"{request.origin}/{person}",
        "picture": "",
    }
    return reply(
        {
            "access_token": store.add_login(person),
            "token_type": "bearer",
            "expires_in": 3600,
            "scope": SCOPES,
            "id_token": _signed(claims),
        }
    )


def _signed(claims: dict[str, object]) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{_base64(hmac.digest(_KEY, text.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
