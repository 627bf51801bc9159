import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

KEYS = jwt.PyJWKClient(os.environ["JWKS_URL"])


def user_of(assertion):
    return jwt.decode(
        assertion,
        KEYS.get_signing_key_from_jwt(assertion),
        algorithms=[os.environ.get("ALGORITHM", "ES256")],
        issuer=os.environ["ISSUER"],
        audience=os.environ["AUDIENCE"],
        leeway=30,
        options={"require": ["exp", "iss", "aud", "sub"]},
    )


class App(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, answer = 200, user_of(self.headers.get("X-Gatepost-Assertion", ""))
        except jwt.PyJWTError as error:
            status, answer = 401, {"error": str(error)}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


port = int(os.environ.get("PORT", "8080"))
ThreadingHTTPServer(("127.0.0.1", port), App).serve_forever()
