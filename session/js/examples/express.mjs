// An app that does not trust headers: it reads the session itself, behind Traefik with Gatepost's
// plugin and `forwardCookie: true`.

import express from 'express';
import { requireSession, sessionOf } from '@gatepost/session/connect';
import { createFileVerifier } from '@gatepost/session/node';

const verifier = createFileVerifier({
  keysFile: process.env.GATEPOST_KEYS_FILE ?? '/etc/gatepost/keys/gatepost.keys',
  audience: process.env.GATEPOST_APPLICATION ?? 'wiki',
  cookieName: process.env.GATEPOST_COOKIE_NAME, // unset: __Host-gatepost
});

const app = express();

app.get('/healthz', (_request, response) => {
  response.send('ok\n');
});

// From here on, no session is 401.
app.use(requireSession(verifier));

app.get('/', (request, response) => {
  const { iss, sub, preferred_username, groups } = sessionOf(request);
  response.json({ iss, sub, preferred_username, groups });
});

app.get('/admin', (request, response) => {
  if (!sessionOf(request).groups.includes('admins')) {
    response.status(403).send('for admins\n');
    return;
  }
  response.send('welcome\n');
});

app.listen(Number(process.env.PORT ?? 8000), '127.0.0.1');
