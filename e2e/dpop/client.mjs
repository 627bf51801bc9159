// A machine client of openid-client whose access tokens are bound to a key of its own (RFC 9449). ISSUER,
// CLIENT_ID, CLIENT_SECRET, RESOURCE and PAGE say where it gets its token and what it asks for. For each
// algorithm, it writes a line of JSON with the statuses of its requests:
//
//   first, second  with a proof each
//   posted         with another method
//   replayed       the first request again, as a thief would send it who has seen it
//   elsewhere      a proof that was not used before, with another path
//   stolen         the token alone, as a bearer token
//   otherKey       the token, with a proof by another key
//   challenge      what the page asks of a request without credentials

import dns from 'node:dns';
import * as client from 'openid-client';

// As browsers do, and systems do not (RFC 6761 §6.3).
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(/(^|\.)localhost$/.test(name) ? '127.0.0.1' : name, ...rest);

const { ISSUER, CLIENT_ID, CLIENT_SECRET, RESOURCE, PAGE } = process.env;
const page = new URL(PAGE);
const options = { execute: [client.allowInsecureRequests] };
const authentication = client.ClientSecretBasic(CLIENT_SECRET);
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, {}, authentication, options);

// The proof of the last request, and whether a request is not sent but for its proof.
let proof;
let isHeld = false;
config[client.customFetch] = (url, request) => {
  proof = new Headers(request.headers).get('dpop');
  return isHeld ? new Response() : fetch(url, request);
};

const nothing = await fetch(page);
const challenge = nothing.headers.get('www-authenticate');

for (const algorithm of ['ES256', 'Ed25519']) {
  const handle = client.getDPoPHandle(config, await client.randomDPoPKeyPair(algorithm));
  const tokens = await client.clientCredentialsGrant(config, { resource: RESOURCE }, { DPoP: handle });
  const token = tokens.access_token;
  // What it throws for a challenge has the response.
  const ask = async (method, by = handle) => {
    const asked = client.fetchProtectedResource(config, token, page, method, null, null, { DPoP: by });
    return asked.then((response) => response, (error) => error.response ?? error.cause.response);
  };
  const first = await ask('GET');
  const authorization = `DPoP ${token}`;
  const again = async (url, headers) => (await fetch(url, { headers })).status;
  const replayed = await again(page, { authorization, dpop: proof });
  const second = await ask('GET');
  const posted = await ask('POST');
  isHeld = true;
  await ask('GET');
  isHeld = false;
  const elsewhere = await again(new URL('/elsewhere', page), { authorization, dpop: proof });
  const another = client.getDPoPHandle(config, await client.randomDPoPKeyPair(algorithm));
  console.log(JSON.stringify({
    algorithm,
    type: tokens.token_type,
    first: first.status,
    second: second.status,
    posted: posted.status,
    replayed,
    elsewhere,
    stolen: await again(page, { authorization: `Bearer ${token}` }),
    otherKey: (await ask('GET', another)).status,
    challenge,
  }));
}
