// Assertions: which are accepted, and what attackers make of one.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createAssertionVerifier } from '@gatepost/session/assertion';

const ISSUER = 'https://wiki.example.com/akprox';
const now = () => Math.floor(Date.now() / 1000);

async function key(algorithm, kid) {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { algorithm, kid, jwk, privateKey };
}

const es256 = await key('ES256', 'a');
const eddsa = await key('EdDSA', 'b');
const jwks = { keys: [es256.jwk, eddsa.jwk] };

const claims = (changes = {}) => ({
  iss: ISSUER,
  sub: '1234',
  aud: 'wiki',
  iat: now(),
  exp: now() + 900,
  idp: 'https://id.example.com',
  preferred_username: 'alice',
  email: 'alice@example.com',
  email_verified: true,
  groups: ['staff'],
  ...changes,
});

const signed = ({ algorithm, kid, privateKey }, payload = claims(), header = {}) =>
  new SignJWT(payload).setProtectedHeader({ alg: algorithm, kid, typ: 'JWT', ...header }).sign(privateKey);

const verifier = (options = {}) =>
  createAssertionVerifier({ issuer: ISSUER, audience: 'wiki', jwks, ...options });

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

for (const [algorithm, own, other] of [
  ['ES256', es256, eddsa],
  ['EdDSA', eddsa, es256],
]) {
  test(`assertion: ${algorithm} is accepted, and nothing else`, async () => {
    const wiki = verifier({ algorithm });
    const token = await signed(own);
    const verdict = await wiki.verify(token);
    assert.equal(verdict.ok, true, verdict.reason);
    assert.equal(verdict.assertion.preferred_username, 'alice');
    assert.deepEqual(verdict.assertion.groups, ['staff']);
    assert.equal(verdict.assertion.grp_more, false);

    const [header, payload, signature] = token.split('.');
    const mallory = encoded(claims({ sub: 'mallory' }));
    const publicKey = createPublicKey({ key: own.jwk, format: 'jwk' });
    const confused = [
      publicKey.export({ type: 'spki', format: 'pem' }),
      publicKey.export({ type: 'spki', format: 'der' }),
      JSON.stringify(own.jwk),
      Buffer.from(own.jwk.x, 'base64url'),
    ].map((secret) => {
      const text = `${encoded({ alg: 'HS256', kid: own.kid, typ: 'JWT' })}.${mallory}`;
      return [`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`, 'algorithm'];
    });
    for (const [attack, reason] of [
      ...confused,
      [`${encoded({ alg: 'none' })}.${mallory}.`, 'algorithm'],
      [`${encoded({ alg: 'none', kid: own.kid })}.${mallory}.${signature}`, 'algorithm'],
      [await signed(other), 'algorithm'],
      [`${header}.${mallory}.${signature}`, 'forged'],
      [`${header}.${payload}.`, 'forged'],
      [await signed({ ...own, privateKey: (await key(algorithm, 'x')).privateKey }), 'forged'],
      [await signed({ ...own, kid: 'x' }), 'unknown-key'],
      [await signed(own, claims({ aud: 'other' })), 'audience'],
      [await signed(own, claims({ iss: 'https://other.example.com/akprox' })), 'issuer'],
      [await signed(own, claims({ exp: now() })), 'ended'],
      [await signed(own, claims({ iat: now() + 90 })), 'not-yet'],
      [await signed(own, claims({ exp: undefined })), 'claims'],
      [await signed(own, claims({ sub: undefined })), 'claims'],
      [await signed(own, claims({ sub: '' })), 'claims'],
      [await signed(own, claims({ aud: ['wiki', 'other'] })), 'claims'],
      [await signed(own, claims({ groups: 'admins' })), 'claims'],
      [await signed(own, claims({ groups: [1] })), 'claims'],
      [await signed(own, claims({ grp_more: 'no' })), 'claims'],
      [await signed(own, claims({ email_verified: 'yes' })), 'claims'],
      ['', 'no-assertion'],
      [undefined, 'no-assertion'],
      ['a.b', 'malformed'],
      [`${token}, ${token}`, 'malformed'],
      ['x'.repeat(20_000), 'malformed'],
      [[token], 'malformed'],
      [{}, 'malformed'],
    ]) {
      const refused = await wiki.verify(attack);
      assert.equal(refused.ok, false, JSON.stringify(attack));
      assert.equal(refused.reason, reason, JSON.stringify(attack));
    }
  });
}

test('assertion: a key in the token itself counts for nothing', async () => {
  const own = await key('ES256', 'mallory');
  const token = await signed(own, claims(), { jwk: own.jwk, jku: 'https://evil.example/jwks.json' });
  assert.deepEqual(await verifier().verify(token), { ok: false, reason: 'unknown-key' });
});

test('assertion: headers of Fetch and of Node.js', async () => {
  const token = await signed(es256);
  const wiki = verifier();
  for (const headers of [
    new Headers({ 'X-Gatepost-Assertion': token }),
    { 'x-gatepost-assertion': token },
  ]) {
    assert.equal((await wiki.fromHeaders(headers)).ok, true);
  }
  assert.equal((await wiki.fromHeaders({})).reason, 'no-assertion');
  assert.equal((await wiki.fromHeaders({ 'x-gatepost-assertion': [token, token] })).ok, false);
  const cloudflare = verifier({ header: 'Cf-Access-Jwt-Assertion' });
  assert.equal((await cloudflare.fromHeaders({ 'cf-access-jwt-assertion': token })).ok, true);
  assert.equal((await cloudflare.fromHeaders({ 'x-gatepost-assertion': token })).ok, false);
});

test('assertion: keys are fetched, and no user is signed in without them', async () => {
  let answer = [200, JSON.stringify(jwks)];
  const server = createServer((_request, response) => {
    response.writeHead(answer[0], { 'Content-Type': 'application/json' }).end(answer[1]);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    const jwksUrl = `http://127.0.0.1:${server.address().port}/akprox/jwks.json`;
    const remote = () => createAssertionVerifier({ issuer: ISSUER, audience: 'wiki', jwksUrl });
    const token = await signed(es256);
    assert.equal((await remote().verify(token)).ok, true);
    for (const broken of [
      [503, '{}'],
      [200, 'no JSON'],
      [200, '{"keys": 1}'],
    ]) {
      answer = broken;
      const refused = await remote().verify(token);
      assert.deepEqual(refused, { ok: false, reason: 'keys-unavailable' }, broken[1]);
    }
  } finally {
    server.close();
  }
});

test('assertion: options that cannot be used are refused', () => {
  const good = { issuer: ISSUER, audience: 'wiki' };
  for (const wrong of [
    { audience: '' },
    { issuer: undefined },
    { issuer: 'no URL' },
    { algorithm: 'HS256' },
    { algorithm: 'none' },
    { algorithm: ['ES256', 'HS256'] },
    { jwks, jwksUrl: `${ISSUER}/jwks.json` },
    { jwksUrl: 'no URL' },
    { jwks: {} },
    { clockSkew: -1 },
    { clockSkew: 301 },
    { algorithms: ['HS256'] },
    { header: '' },
  ]) {
    assert.throws(() => createAssertionVerifier({ ...good, ...wrong }), { name: 'OptionsError' });
  }
});
