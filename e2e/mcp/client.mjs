// The MCP SDK's client with its own OAuth client, as a program that a person runs. MCP_URL is all that it
// knows. CLIENT_URL is where it says who it is, if it has such a page. It reads one command a line from
// standard input, and answers each with a line of JSON:
//
//   connect   connects; where the user has to sign in first, it says where: {"signInAt": url}
//   finish    waits until the browser has come back, and connects
//   tools     {"tools": [names]}
//   whoami    what the tool of that name returns
//   count     when each notification of the tool arrived: {"after": [milliseconds]}
//   tokens    the tokens and the client that it has
//
// What fails is answered with {"error": name, "message": text}.

import dns from 'node:dns';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

// As browsers do, and systems do not (RFC 6761 §6.3).
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(/(^|\.)localhost$/.test(name) ? '127.0.0.1' : name, ...rest);

const url = new URL(process.env.MCP_URL);
const redirect = createServer();
await new Promise((resolve) => redirect.listen(0, '127.0.0.1', resolve));
const redirectUrl = `http://127.0.0.1:${redirect.address().port}/callback`;
const code = new Promise((resolve) => {
  redirect.on('request', (request, response) => {
    const { searchParams } = new URL(request.url, redirectUrl);
    response.end('You can close this page.');
    resolve(searchParams.get('code'));
  });
});

const kept = {};
const provider = {
  redirectUrl,
  clientMetadataUrl: process.env.CLIENT_URL,
  clientMetadata: {
    client_name: 'Gatepost end-to-end tests',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => (kept.tokens = tokens),
  redirectToAuthorization: (url) => (kept.signInAt = url.href),
  saveCodeVerifier: (verifier) => (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  invalidateCredentials: (scope) => {
    if (scope === 'all' || scope === 'tokens') delete kept.tokens;
    if (scope === 'all' || scope === 'client') delete kept.client;
  },
};

let client;
let transport;

function connect() {
  transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  client = new Client({ name: 'gatepost-e2e', version: '1.0.0' });
  return client.connect(transport);
}

const commands = {
  async connect() {
    try {
      await connect();
      return { session: transport.sessionId };
    } catch (error) {
      if (kept.signInAt === undefined) throw error;
      return { signInAt: kept.signInAt };
    }
  },
  async finish() {
    await transport.finishAuth(await code);
    await connect();
    return { session: transport.sessionId };
  },
  async tools() {
    const { tools } = await client.listTools();
    return { tools: tools.map((tool) => tool.name) };
  },
  async whoami() {
    const { content } = await client.callTool({ name: 'whoami' });
    return JSON.parse(content[0].text);
  },
  async count() {
    const begun = Date.now();
    const after = [];
    const onprogress = () => after.push(Date.now() - begun);
    await client.callTool({ name: 'count' }, undefined, { onprogress });
    return { after };
  },
  async tokens() {
    return { tokens: kept.tokens, client: kept.client };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await commands[line]();
  } catch (error) {
    answer = { error: error.constructor.name, message: String(error.message) };
  }
  console.log(JSON.stringify(answer));
}
process.exit(0);
