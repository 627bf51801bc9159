// A Firefox as any user has it, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/):
// Playwright needs a build of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Opens a tab of a Firefox that has never been anywhere.
 *
 * @returns {Promise<{
 *   goto: (url: string) => Promise<void>,
 *   evaluate: (expression: string) => Promise<unknown>,
 *   cookies: () => Promise<{ name: string, value: string }[]>,
 *   close: () => Promise<void>,
 * }>}
 */
export async function openFirefox(program) {
  const profile = mkdtempSync(join(tmpdir(), 'gatepost-firefox-'));
  const quiet = ['app.normandy.enabled', 'datareporting.policy.dataSubmissionEnabled'];
  const lines = quiet.map((name) => `user_pref("${name}", false);`);
  writeFileSync(join(profile, 'user.js'), lines.join('\n'));
  const browser = spawn(program, [
    '--headless',
    '--no-remote',
    '--profile',
    profile,
    '--remote-debugging-port=0',
  ]);
  const ended = new Promise((resolve) => browser.once('exit', resolve));
  const address = await new Promise((resolve, reject) => {
    let said = '';
    browser.stderr.on('data', (data) => {
      said += data;
      const found = /BiDi listening on (ws:\S+)/.exec(said);
      if (found) {
        resolve(found[1]);
      }
    });
    ended.then(() => reject(new Error(`Firefox has ended: ${said}`)));
  });
  const socket = new WebSocket(`${address}/session`);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error(`no connection to ${address}`));
  });
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    const { resolve, reject } = waiting.get(message.id) ?? {};
    waiting.delete(message.id);
    if (message.type === 'success') {
      resolve?.(message.result);
    } else {
      reject?.(new Error(`${message.error}: ${message.message}`));
    }
  };
  let last = 0;
  const send = (method, params) =>
    new Promise((resolve, reject) => {
      const id = (last += 1);
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params }));
    });
  await send('session.new', { capabilities: {} });
  const { contexts } = await send('browsingContext.getTree', {});
  const { context } = contexts[0];
  return {
    goto: async (url) => {
      await send('browsingContext.navigate', { context, url, wait: 'complete' });
    },
    evaluate: async (expression) => {
      const { result, exceptionDetails } = await send('script.evaluate', {
        // As text, since the values of the protocol are written in a way of their own.
        expression: `(async () => JSON.stringify(await (${expression})))()`,
        target: { context },
        awaitPromise: true,
      });
      if (exceptionDetails) {
        throw new Error(exceptionDetails.text);
      }
      return result.type === 'string' ? JSON.parse(result.value) : undefined;
    },
    cookies: async () => {
      const { cookies } = await send('storage.getCookies', {});
      return cookies.map(({ name, value }) => ({ name, value: value.value }));
    },
    close: async () => {
      socket.close();
      browser.kill();
      await ended;
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
