import { createVerifier } from '@gatepost/session';

const verifier = createVerifier({
  keys: ['2026a:4jcXv1Wm…'], // a line of the outpost's keys file
  audience: 'wiki',
});

const verdict = verifier.fromCookieHeader('theme=dark; __Host-gatepost=eyJhbGciOiJIUzI1NiIs…');
if (verdict.ok) {
  console.log(verdict.session.sub, verdict.session.groups);
} else {
  console.log('no session:', verdict.reason); // for the log, never for the client
}
