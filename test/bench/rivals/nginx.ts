import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import { freePort } from '../../kit/free-port.ts';
import { descendantsOf } from '../measure/process-table.ts';
import { startChild } from '../systems/child.ts';
import type { Rival } from './rival.ts';

/** nginx with one worker and kept-alive connections to the model server. */
export const nginx: Rival = {
  name: 'nginx',
  install: async () => {
    // Debian puts it where only root's PATH looks.
    process.env.PATH = `${process.env.PATH}:/usr/sbin`;
    if (!findProgram('nginx', process.env))
      throw new Error('no nginx on PATH (Debian: apt-get install nginx-light)');
    const spoken = execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' });
    return /nginx\/(\S+)/.exec(spoken)?.[1] ?? 'unknown';
  },
  start: async (target, parent) => {
    const port = await freePort();
    const folder = join(parent, `nginx-${port}`);
    mkdirSync(folder);
    const file = join(folder, 'nginx.conf');
    writeFileSync(file, configuration({ port, folder, target: new URL(target).host }));
    const url = `http://127.0.0.1:${port}`;
    const child = await startChild({
      command: ['nginx', '-p', folder, '-e', join(folder, 'error.log'), '-c', file],
      readyUrl: `${url}/health`,
    });
    return { url, pids: [child.pid, ...descendantsOf(child.pid)], stop: child.stop };
  },
};

const configuration = ({ port, folder, target }: { port: number; folder: string; target: string }) => `
daemon off;
worker_processes 1;
pid ${folder}/pid;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_max_body_size 64m;
  keepalive_requests 1000000;
  upstream model { server ${target}; keepalive 256; keepalive_requests 1000000; keepalive_timeout 4s; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffers 16 32k;
    }
  }
}
`;
