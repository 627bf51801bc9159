// An app that verifies what the outpost signs for it, and holds no secret.

import { createServer } from 'node:http';
import { createAssertionVerifier } from '@gatepost/session/assertion';

const verifier = createAssertionVerifier({
  issuer: process.env.ISSUER ?? 'https://wiki.example.com/akprox',
  audience: process.env.AUDIENCE ?? 'wiki',
  algorithm: process.env.ALGORITHM === 'EdDSA' ? 'EdDSA' : 'ES256',
  jwksUrl: process.env.JWKS_URL, // unset: jwks.json below the issuer
});

createServer(async (request, response) => {
  const verdict = await verifier.fromHeaders(request.headers);
  if (!verdict.ok) {
    response.writeHead(401).end('{"error":"unauthenticated"}');
    return;
  }
  response.end(JSON.stringify(verdict.assertion));
}).listen(Number(process.env.PORT ?? 8000), '127.0.0.1');
