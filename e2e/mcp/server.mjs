// A small MCP server over streamable HTTP, which knows nothing of sign-ins: it believes the identity
// headers of the proxy in front. Its port is in MCP_PORT.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

const transports = new Map();

function newServer() {
  const server = new McpServer({ name: 'gatepost-e2e', version: '1.0.0' });
  server.registerTool(
    'whoami',
    { description: 'Returns the user that the proxy names' },
    ({ requestInfo }) => {
      const named = (name) => requestInfo.headers[name] ?? null;
      const seen = {
        user: named('x-auth-username'),
        groups: named('x-auth-groups'),
        authorization: named('authorization'),
      };
      return { content: [{ type: 'text', text: JSON.stringify(seen) }] };
    },
  );
  server.registerTool(
    'count',
    { description: 'Counts to three, with half a second before each number' },
    async ({ _meta, sendNotification }) => {
      for (let progress = 1; progress <= 3; progress += 1) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        await sendNotification({
          method: 'notifications/progress',
          params: { progressToken: _meta.progressToken, progress, total: 3 },
        });
      }
      return { content: [{ type: 'text', text: 'done' }] };
    },
  );
  return server;
}

async function transportOf(request) {
  const session = request.headers['mcp-session-id'];
  if (session !== undefined) return transports.get(session);
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => transports.set(id, transport),
  });
  await newServer().connect(transport);
  return transport;
}

createServer(async (request, response) => {
  const isMcp = new URL(request.url, 'http://localhost').pathname === '/mcp';
  const transport = isMcp ? await transportOf(request) : undefined;
  if (transport === undefined) response.writeHead(404).end();
  else await transport.handleRequest(request, response);
}).listen(Number(process.env.MCP_PORT), '127.0.0.1', () => console.log('listening'));
