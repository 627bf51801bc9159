// The OpenID provider of the demo and of the end-to-end tests: panva's certified oidc-provider with
// two users and a password page. Everything it knows comes from one JSON document, in the file that
// PROVIDER_CONFIG names or, without it, in config.example.json next to this script:
//
//   issuer    what the ID tokens say; the server listens on its port, on loopback only
//   listen    optional: host and port to listen on instead
//   groupsIn  "both" (default), "id_token" or "userinfo": where the `groups` claim travels
//   clients   client metadata as in OpenID Connect Dynamic Client Registration
//   idTokenAlgorithms  optional: how ID tokens may be signed, RS256 unless a client says otherwise
//   users     by login name: sub, password, name, email, groups, claims (optional: further ones)
//   refreshTokens  false for a provider that gives none
//   programs  optional, by client id: secret, groups; clients that get tokens for themselves, with
//             certificateBound bound to the certificate that a proxy hands on
//   resources optional: what access tokens may be for (RFC 8707), as JWTs, with the user's claims
//   publicClients optional, by client id: redirect URIs; at a loopback address, on any port
//   registration  true to have clients register themselves (RFC 7591)
//   clientDocuments optional, by URL: what clients whose id is that URL say of themselves there
//   resetsKeptConnections  true to reset the outpost's connections at their second request, as a
//             server does that closes one in the moment of its use
//   pkce      optional: false to serve clients that send no code challenge too
//   levels    optional: classes of authentication (`acr`), the weakest first. Users who sign in get
//             the first that the client asks for, of all or of their own `levels`
//   lifetimes optional, seconds: accessToken, refreshToken, session
//   inFrames  true to serve browsers in frames of other sites: cookies are partitioned
//
// Made for tests: keys are new at every start, nothing is stored, passwords are in the clear.

import { X509Certificate, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider, { errors, interactionPolicy } from 'oidc-provider';

const file = process.env.PROVIDER_CONFIG ?? new URL('config.example.json', import.meta.url);
const config = JSON.parse(readFileSync(file, 'utf8'));
const users = new Map(Object.entries(config.users));
const loginOf = new Map(Object.entries(config.users).map(([login, user]) => [user.sub, login]));
const lifetimes = config.lifetimes ?? {};
const groupsIn = config.groupsIn ?? 'both';
const programs = config.programs ?? {};
const resources = config.resources ?? [];
const levels = config.levels ?? ['1'];

const inFrames = () => ({ signed: true, sameSite: 'none', secure: true, partitioned: true });

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 22rem; padding: 0 1rem; }
  input, button { box-sizing: border-box; display: block; font: inherit; margin: .25rem 0 1rem; padding: .5rem; width: 100%; }
  .wrong { color: #a00; }
</style>
<h1>${escape(title)}</h1>
${body}
</html>
`;

const signInPage = (uid, login, wrong) =>
  page(
    'Sign in',
    `${wrong ? '<p class="wrong" role="alert">Unknown user or wrong password.</p>' : ''}
<form method="post" action="/interaction/${escape(uid)}">
  <label>User <input name="login" autocomplete="username" value="${escape(login ?? '')}" required autofocus></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button type="submit">Sign in</button>
</form>`,
  );

/** An account as oidc-provider wants it, or `undefined` for a subject that does not exist. */
function findAccount(_ctx, sub) {
  const login = loginOf.get(sub);
  if (login === undefined) return undefined;
  return {
    accountId: sub,
    claims(use) {
      // Read again, so that a user's claims can change while the user is signed in.
      const user = JSON.parse(readFileSync(file, 'utf8')).users[login];
      const claims = {
        sub,
        name: user.name,
        preferred_username: login,
        email: user.email,
        email_verified: true,
        ...user.claims,
      };
      if (['both', use].includes(groupsIn) || use === 'access_token') claims.groups = user.groups;
      return claims;
    },
  };
}

/**
 * One signing key; `kid` is drawn at each start so that a restart looks like a key rotation.
 *
 * Encoded as it is generated: exporting a key object afterwards can block for ever in Node.js 20,
 * where the garbage collector waits for a lock that the export holds.
 */
function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { format: 'jwk' },
    privateKeyEncoding: { format: 'jwk' },
  });
  return { ...privateKey, kid: randomBytes(6).toString('hex'), use: 'sig', alg: 'RS256' };
}

/** The client's certificate, as Traefik hands it on (`passTLSClientCert`), or a PEM. */
function clientCertificate(ctx) {
  const [first] = ctx.get('x-forwarded-tls-client-cert').split(',');
  const text = decodeURIComponent(first);
  return text && new X509Certificate(text.startsWith('-') ? text : Buffer.from(text, 'base64'));
}

const documents = config.clientDocuments ?? {};
const certifies = Object.values(programs).some((program) => program.certificateBound);

/** Has users sign in again for a class that they have not: the library asks for essential ones only. */
function policy() {
  const { Check, base } = interactionPolicy;
  const all = base();
  const check = new Check('acr_values', 'another authentication is asked for', ({ oidc }) => {
    const asked = oidc.params.acr_values?.split(' ') ?? [];
    const has = asked.length === 0 || asked.includes(oidc.acr) || oidc.result?.login;
    return has ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT;
  });
  all.get('login').checks.add(check);
  return all;
}

const provider = new Provider(config.issuer, {
  clients: [
    ...config.clients,
    ...Object.entries(programs).map(([id, { secret, certificateBound }]) => ({
      client_id: id,
      client_secret: secret,
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...(certificateBound && { tls_client_certificate_bound_access_tokens: true }),
    })),
    ...Object.entries(config.publicClients ?? {}).map(([id, uris]) => ({
      client_id: id,
      redirect_uris: uris,
      application_type: 'native',
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    })),
  ],
  extraTokenClaims(ctx, token) {
    if (token.kind === 'ClientCredentials') return { groups: programs[token.clientId]?.groups };
    return token.aud ? findAccount(ctx, token.accountId)?.claims('access_token') : undefined;
  },
  findAccount,
  jwks: { keys: [signingKey()] },
  cookies: {
    keys: [randomBytes(32).toString('hex')],
    ...(config.inFrames ? { long: inFrames(), short: inFrames() } : {}),
  },
  claims: {
    openid: ['sub'],
    profile: [
      'name',
      'preferred_username',
      ...Object.values(config.users).flatMap((user) => Object.keys(user.claims ?? {})),
    ],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  // Claims of the granted scopes are in the ID token too, as with most providers.
  conformIdTokenClaims: false,
  pkce: { required: () => config.pkce ?? true },
  // Everything here is on loopback, which the library's own way of asking clients refuses.
  fetch: (url, options) =>
    documents[url]
      ? Response.json(documents[url])
      : fetch(url, { ...options, dispatcher: undefined }),
  enabledJWA: { idTokenSigningAlgValues: config.idTokenAlgorithms ?? ['RS256'] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
  issueRefreshToken: async (_ctx, client, code) =>
    config.refreshTokens !== false &&
    client.grantTypeAllowed('refresh_token') &&
    code.scopes.has('openid'),
  rotateRefreshToken: true,
  expiresWithSession: () => false,
  ttl: {
    AccessToken: lifetimes.accessToken ?? 600,
    ClientCredentials: lifetimes.accessToken ?? 600,
    AuthorizationCode: 60,
    Grant: 86_400,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: lifetimes.refreshToken ?? 86_400,
    Session: lifetimes.session ?? 86_400,
  },
  // Every client here is the operator's own, so no user is asked for consent.
  async loadExistingGrant(ctx) {
    const { client, session, params } = ctx.oidc;
    const existing = session.grantIdFor(client.clientId);
    const grant = existing
      ? await ctx.oidc.provider.Grant.find(existing)
      : new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
  acrValues: levels,
  interactions: {
    url: (_ctx, interaction) => `/interaction/${interaction.uid}`,
    policy: policy(),
  },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: config.registration === true },
    clientIdMetadataDocument: { enabled: config.clientDocuments !== undefined, ack: 'draft-02' },
    introspection: { enabled: true, allowedPolicy: () => true },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: certifies,
      certificateBoundAccessTokens: certifies,
      getCertificate: clientCertificate,
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_ctx, resource) {
        if (!resources.includes(resource)) throw new errors.InvalidTarget();
        return { scope: '', audience: resource, accessTokenFormat: 'jwt' };
      },
    },
    rpInitiatedLogout: {
      enabled: true,
      async logoutSource(ctx, form) {
        ctx.body = page(
          'Sign out',
          `${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Sign out everywhere</button>
<button type="submit" form="op.logoutForm">Stay signed in</button>`,
        );
      },
      async postLogoutSuccessSource(ctx) {
        ctx.body = page('Signed out', '<p>You are signed out.</p>');
      },
    },
  },
  async renderError(ctx, out) {
    const rows = Object.entries(out).map(
      ([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`,
    );
    ctx.type = 'html';
    ctx.body = page('The provider refused', `<dl>${rows.join('')}</dl>`);
  },
});

if (config.inFrames) {
  // Browsers take `Secure` at a loopback address without TLS too.
  const createContext = provider.createContext.bind(provider);
  provider.createContext = (request, response) => {
    const ctx = createContext(request, response);
    ctx.cookies.secure = true;
    return ctx;
  };
}

provider.on('backchannel.error', (_ctx, error, client) =>
  console.log(`back-channel logout of ${client.clientId}: ${error.message} ${error.cause ?? ''}`),
);
// For tests to count.
provider.on('grant.success', (ctx) => console.log(`granted ${ctx.oidc.params.grant_type}`));
provider.on('grant.error', (ctx, error) =>
  console.log(`refused ${ctx.oidc.params?.grant_type}: ${error.message}`),
);

/** The submitted form, or `null` when it is larger than any sign-in form. */
async function readForm(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 10_000) return null;
  }
  return new URLSearchParams(body);
}

function sendPage(response, status, html) {
  response.writeHead(status, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
  });
  response.end(html);
}

async function interaction(request, response) {
  const { uid, params, prompt } = await provider.interactionDetails(request, response);
  // A native client's user is asked each time. Here, everyone agrees.
  if (prompt.name === 'consent') {
    await provider.interactionFinished(request, response, { consent: {} });
    return;
  }
  if (request.method !== 'POST') {
    sendPage(response, 200, signInPage(uid, params.login_hint, false));
    return;
  }
  const form = await readForm(request);
  const login = form?.get('login') ?? '';
  const user = users.get(login);
  if (user === undefined || user.password !== form.get('password')) {
    sendPage(response, 401, signInPage(uid, login, true));
    return;
  }
  const asked = params.acr_values?.split(' ') ?? [];
  const acr = asked.find((level) => (user.levels ?? levels).includes(level)) ?? levels[0];
  await provider.interactionFinished(
    request,
    response,
    { login: { accountId: user.sub, amr: ['pwd'], acr } },
    { mergeWithLastSubmission: false },
  );
}

const callback = provider.callback();
const used = new WeakSet();
const server = createServer(async (request, response) => {
  const { socket } = request;
  if (config.resetsKeptConnections && request.headers['user-agent']?.startsWith('gatepost/')) {
    if (used.has(socket)) {
      console.log('reset a kept connection');
      socket.resetAndDestroy();
      return;
    }
    used.add(socket);
  }
  try {
    if (request.url.startsWith('/interaction/')) await interaction(request, response);
    else await callback(request, response);
  } catch (error) {
    console.error(error);
    if (response.headersSent) response.destroy();
    else sendPage(response, 400, page('The provider refused', `<p>${escape(error.message)}</p>`));
  }
});

const listen = config.listen ?? { host: '127.0.0.1', port: Number(new URL(config.issuer).port) };
server.listen(listen, () => console.log(`listening for ${config.issuer}`));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
