// A Fetch handler of the runtime's own `Request` and `Response`.

/** What a handler answers with a session, and without. */
export async function handler(createVerifier, withSession, vectors) {
  const valid = vectors.cases.find(({ name }) => name === 'valid');
  const verifier = createVerifier({
    keys: vectors.keys,
    audience: valid.audience,
    publishedKeys: true,
  });
  const then = {
    ...verifier,
    fromCookieHeader: (header) => verifier.fromCookieHeader(header, valid.now),
  };
  const handle = withSession(then, (_request, session) => new Response(session.sub));
  const request = (headers) => new Request('https://wiki.example.com/', { headers });
  const named = await handle(request({ cookie: valid.cookies[0] }));
  const refused = await handle(request({}));
  return [named.status, await named.text(), refused.status];
}
