import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { JWKS_URL, ISSUER, AUDIENCE, ALGORITHM = 'ES256', PORT = '8080' } = process.env;

// Without them, jose would check neither.
if (!JWKS_URL || !ISSUER || !AUDIENCE) {
  throw new Error('JWKS_URL, ISSUER and AUDIENCE are needed');
}

const keys = createRemoteJWKSet(new URL(JWKS_URL));
const expected = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: [ALGORITHM],
  requiredClaims: ['iss', 'aud', 'exp', 'sub'],
  clockTolerance: 30,
};

createServer(async (request, response) => {
  try {
    const assertion = request.headers['x-gatepost-assertion'] ?? '';
    const { payload } = await jwtVerify(assertion, keys, expected);
    response.end(JSON.stringify(payload));
  } catch (error) {
    response.writeHead(401).end(JSON.stringify({ error: error.message }));
  }
}).listen(Number(PORT), '127.0.0.1');
