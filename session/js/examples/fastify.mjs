import fastify from 'fastify';
import { gatepost, sessionOf } from '@gatepost/session/fastify';
import { createFileVerifier } from '@gatepost/session/node';

const verifier = createFileVerifier({
  keysFile: '/etc/gatepost/keys/gatepost.keys',
  audience: 'wiki',
});

const app = fastify();
app.register(gatepost, { verifier });
app.get('/', async (request) => `Hello ${sessionOf(request).name}\n`);
app.get('/healthz', { config: { gatepost: 'optional' } }, async () => 'ok\n');

await app.listen({ host: '127.0.0.1', port: 8000 });
