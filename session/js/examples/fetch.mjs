import { createVerifier } from '@gatepost/session';
import { withSession } from '@gatepost/session/fetch';

const verifier = createVerifier({
  keys: process.env.GATEPOST_KEYS ?? '', // newest first: kid:base64,kid:base64
  audience: 'wiki',
});

export default {
  fetch: withSession(verifier, (_request, session) => new Response(`Hello ${session.name}\n`)),
};
