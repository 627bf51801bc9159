// TLS in front of a proxy: hands each request on as it came, as a load balancer does.

import { readFileSync } from 'node:fs';
import { createServer, request as secureRequest } from 'node:https';
import { request } from 'node:http';

/** Listens as `front` says, until the process ends. */
export async function listen(front) {
  const server = createServer(
    { cert: readFileSync(front.certificate), key: readFileSync(front.key) },
    (incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const passed = request(
        { host: '127.0.0.1', port: front.to, method, path: url, headers },
        (response) => {
          if (url.includes('/device/')) {
            // The browser does not show these to the driver.
            console.log(response.statusCode, method, url);
          }
          outgoing.writeHead(response.statusCode, response.rawHeaders);
          response.pipe(outgoing);
        },
      );
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
    },
  );
  await new Promise((resolve) => server.listen(front.port, '127.0.0.1', resolve));
  server.unref();
}

/** Sends a request of another client than the browser, with these headers. Follows nothing. */
export function ask(front, url, headers) {
  const { hostname, pathname, search } = new URL(url);
  const options = {
    host: '127.0.0.1',
    port: front.port,
    servername: hostname,
    path: pathname + search,
    ca: readFileSync(front.authority),
    headers: { Host: `${hostname}:${front.port}`, ...headers },
  };
  return new Promise((resolve, reject) => {
    const sent = secureRequest(options, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers }));
    });
    sent.on('error', reject);
    sent.end();
  });
}
