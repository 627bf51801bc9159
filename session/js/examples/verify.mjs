import { createVerifier } from '@gatepost/session';

const verifier = createVerifier({
  keys: ['2026a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE='],
  audience: 'wiki',
});

const verdict = verifier.fromCookieHeader('theme=dark; __Host-gatepost=eyJhbGciOiJIUzI1NiIs…');
if (verdict.ok) {
  console.log(verdict.session.sub, verdict.session.groups);
} else {
  console.log('no session:', verdict.reason); // for the log, never for the client
}
