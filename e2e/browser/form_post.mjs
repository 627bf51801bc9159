// The provider has the browser post its answer from another site. Browsers leave the sign-in's cookie,
// which is SameSite=Lax, out of that request, and the user is signed in all the same.

import assert from 'node:assert/strict';
import { arriveAt, scenario } from './scenario.mjs';

await scenario(async ({ page, app, alice }) => {
  const callback = [];
  const urls = [];
  page.on('request', (request) => {
    urls.push(request.url());
    if (new URL(request.url()).pathname === '/akprox/callback') callback.push(request);
  });

  const deepLink = app('/reports/2026?quarter=3');
  await arriveAt(page, deepLink, alice);

  assert.deepEqual(callback.map((request) => request.method()), ['POST', 'GET']);
  const [post, get] = await Promise.all(callback.map((request) => request.allHeaders()));
  assert.doesNotMatch(post.cookie ?? '', /gatepost-flow/, 'a cross-site post has the cookie');
  assert.match(get.cookie ?? '', /gatepost-flow/, 'the browser leaves the cookie out for good');
  assert.match(callback[0].postData(), /(^|&)code=/);
  for (const url of urls) {
    assert.ok(!new URL(url).searchParams.has('code'), `the code is in a URL: ${url}`);
  }
});
