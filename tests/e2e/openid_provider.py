"""An OpenID Connect provider for tests: it signs in whom the header X-Person names, without asking.

usage: openid_provider.py PORT CLIENT SECRET
"""

import base64
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from jwcrypto import jwk, jwt

PORT, CLIENT, SECRET = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ISSUER = f"http://localhost:{PORT}"
KEY = jwk.JWK.generate(kty="RSA", size=2048, kid="test")
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "response_types_supported": ["code"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
}
# Who a code is for, with the nonce that has to come back.
codes = {}


def id_token(person, nonce):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": f"subject-of-{person}", "iat": now, "exp": now + 300, "nonce": nonce,
              "preferred_username": person, "groups": ["staff", "wheel"]}
    token = jwt.JWT(header={"alg": "RS256", "kid": "test"}, claims=claims)
    token.make_signed_token(KEY)
    return token.serialize()


class Provider(BaseHTTPRequestHandler):
    def reply(self, status, value=None, **headers):
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/authorize":
            return self.authorize({name: values[0] for name, values in parse_qs(url.query).items()})
        keys = {"keys": [json.loads(KEY.export_public())]}
        known = {"/.well-known/openid-configuration": METADATA, "/keys": keys}
        self.reply(200 if url.path in known else 404, known.get(url.path))

    def authorize(self, asked):
        if (asked["client_id"], asked["response_type"]) != (CLIENT, "code") or "openid" not in asked["scope"].split():
            return self.reply(400, asked)
        code = secrets.token_urlsafe()
        codes[code] = (self.headers["X-Person"], asked["nonce"])
        self.reply(302, Location=f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        basic = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        # Encoded as in a form (RFC 6749, section 2.3.1).
        if [unquote_plus(text) for text in basic.split(":")] != [CLIENT, SECRET]:
            print(f"This is not the client's secret: {basic}", flush=True)
            return self.reply(401, {"error": "invalid_client"})
        if form["code"][0] not in codes:
            return self.reply(400, {"error": "invalid_grant"})
        token = id_token(*codes.pop(form["code"][0]))
        self.reply(200, {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "expires_in": 300, "id_token": token})


ThreadingHTTPServer(("", PORT), Provider).serve_forever()
