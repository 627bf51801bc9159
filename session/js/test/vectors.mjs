// Runs the vectors of testdata/cookies.json. Without anything of Node.js: browsers, Deno, Bun and
// workers import this too.

/** What each case came out as, in the order of the file. */
export function run(createVerifier, vectors) {
  return vectors.cases.map((vector) => {
    const verifier = createVerifier({
      keys: vectors.keys,
      audience: vector.audience,
      issuer: vector.issuer ?? undefined,
      cookieName: vector.cookieName,
      publishedKeys: true,
    });
    return verifier.fromCookieHeader(vector.cookies, vector.now);
  });
}

/** What a case has to come out as. */
export function expected({ expect }) {
  if (expect.refused) {
    return { ok: false, reason: expect.refused };
  }
  // The file has claims as in the cookie, where defaults are left out.
  const defaults = { groups: [], grp_more: false, amr: [], bound: false, ext: {} };
  const { session, renewalDue } = expect;
  return { ok: true, session: { ...defaults, ...session }, renewalDue };
}
