// Shows /admin/status, read anew every two seconds. Everything is set as text: nothing that a model or a process says
// can become markup. Relative addresses: the page works on the monitor's own port and behind the gateway.
const refreshMs = 2000;
const answerTimeoutMs = 5000;
const at = id => document.getElementById(id);
// Behind the gateway the page was opened with a key in its address; the header keeps it out of further addresses.
const key = new URLSearchParams(location.search).get('api_key');
let lastSeen = null;

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const badge = (text, look) => element('span', `badge ${look}`, text);
const orDash = (value, show) => (value === null || value === undefined ? '–' : show(value));
const fixed = digits => value => value.toLocaleString('en', { maximumFractionDigits: digits });
const percent = value => `${Math.round(value * 100)} %`;
// 99.97 % must not read as 100 %.
const successPercent = value => (value < 1 ? `${(Math.floor(value * 10000) / 100).toFixed(2)} %` : '100 %');
const milliseconds = value =>
  value < 1000 ? `${fixed(value < 10 ? 1 : 0)(value)} ms` : `${fixed(1)(value / 1000)} s`;

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let rest = value;
  let unit = 0;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${fixed(rest < 10 && unit > 0 ? 1 : 0)(rest)} ${units[unit]}`;
}

function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

function share(label, part, text) {
  const bar = element('progress', '');
  bar.max = 1;
  bar.value = part ?? 0;
  bar.setAttribute('aria-label', label);
  return element('div', '', element('p', '', `${label}: ${text}`), bar);
}

function modelCard(model, now) {
  const { scheduler } = model;
  const starting = model.processes.some(
    process => process.isSupervised && ['starting', 'loading'].includes(process.state),
  );
  const state = model.isReady
    ? badge('ready', 'good')
    : starting
      ? badge('loading', 'warn')
      : badge('not ready', 'bad');
  const isSaidBelow = model.processes.some(process => process.detail === model.reason);
  const real =
    scheduler?.modelName && scheduler.modelName !== model.servedName
      ? ` answers as ${scheduler.modelName}`
      : '';
  return element(
    'article',
    'card',
    element('header', '', element('h3', '', model.servedName), state),
    element('p', 'quiet', `${model.role}, engine ${scheduler?.engineLabel ?? model.engine}${real}`),
    model.reason && !isSaidBelow ? element('p', 'warn', model.reason) : null,
    ...model.processes.map(process => processLine(process, now)),
    ...(scheduler?.upstreams ?? []).map(upstreamLine),
  );
}

function processLine(process, now) {
  const where = process.gpu === null ? 'CPU' : `GPU ${process.gpu}`;
  const state = process.isSupervised
    ? `${process.state} for ${age(now - process.since)}`
    : 'its supervisor is gone';
  const line = element(
    'p',
    process.isSupervised ? '' : 'bad',
    `${process.app}: ${state} · ${where} · port ${process.port}`,
  );
  if (process.state !== 'ready') line.append(element('br', ''), process.detail);
  if (process.lastError) line.append(element('br', ''), element('span', 'bad', process.lastError));
  return line;
}

function upstreamLine({ url, isReady, reason, inFlight }) {
  return element(
    'p',
    isReady ? 'quiet' : 'warn',
    `${url}: ${isReady ? `${inFlight} in flight` : (reason ?? 'not ready')}`,
  );
}

function showTraffic({ traffic, concurrency }) {
  const figures = [
    ['requests/s', fixed(1)(traffic.requestsPerSecond)],
    ['success', orDash(traffic.successRate, successPercent)],
    ['latency p50', orDash(traffic.p50Ms, milliseconds)],
    ['latency p95', orDash(traffic.p95Ms, milliseconds)],
    ['inputs/s', fixed(1)(traffic.inputsPerSecond)],
    ['tokens/s', fixed(0)(traffic.tokensPerSecond)],
    ['in flight', `${orDash(concurrency.inFlight, fixed(0))} / ${concurrency.limit}`],
    ['requests in all', fixed(0)(traffic.requestsTotal)],
  ];
  at('window').textContent = `last ${Math.round(traffic.windowSeconds)} s`;
  at('traffic').replaceChildren(
    ...figures.map(([name, value]) => element('div', '', element('dt', '', name), element('dd', '', value))),
  );
  const counts = Object.entries(traffic.statuses).map(([status, count]) => `${status}: ${fixed(0)(count)}`);
  at('statuses').textContent =
    counts.length > 0 ? `Answers by status: ${counts.join(' · ')}` : 'No requests in this time.';
}

function showHost({ system, gpus }) {
  at('hostname').textContent = system ? `${system.hostname}, up ${age(system.uptimeSeconds * 1000)}` : '';
  const cards = system ? [systemCard(system)] : [];
  at('host').replaceChildren(...cards, ...gpus.map(gpuCard));
}

function systemCard({ cpu, memory, network }) {
  const used = memory.totalBytes - memory.availableBytes;
  const rate = value => orDash(value, rest => `${bytes(rest)}/s`);
  return element(
    'article',
    'card',
    share(`CPU, ${cpu.cores} cores`, cpu.busy, percent(cpu.busy)),
    share('Memory', used / memory.totalBytes, `${bytes(used)} of ${bytes(memory.totalBytes)}`),
    element('p', 'quiet', `Load ${cpu.loadAverage.map(fixed(2)).join(', ')}`),
    element(
      'p',
      'quiet',
      `Network in ${rate(network.receivedBytesPerSecond)}, out ${rate(network.sentBytesPerSecond)}`,
    ),
  );
}

function gpuCard(gpu) {
  const heat = [
    orDash(gpu.temperatureCelsius, value => `${fixed(0)(value)} °C`),
    orDash(gpu.powerWatts, value => `${fixed(0)(value)} W`),
  ];
  const used = gpu.memoryTotalBytes ? gpu.memoryUsedBytes / gpu.memoryTotalBytes : 0;
  return element(
    'article',
    'card',
    element('h3', '', `GPU ${gpu.index}: ${gpu.name}`),
    share('Utilization', gpu.utilization, orDash(gpu.utilization, percent)),
    share('Memory', used, `${orDash(gpu.memoryUsedBytes, bytes)} of ${orDash(gpu.memoryTotalBytes, bytes)}`),
    element('p', 'quiet', heat.join(', ')),
  );
}

function appRow(app, now) {
  const isWhole = app.answering >= app.expected;
  const silent = app.processes.filter(process => !process.answers).map(process => process.pid);
  const text = `${app.answering} of ${app.expected}${silent.length > 0 ? `, silent: ${silent.slice(0, 5).join(', ')}` : ''}`;
  const youngest = app.processes.length > 0 ? Math.max(...app.processes.map(process => process.since)) : null;
  const head = element('th', '', app.app);
  head.scope = 'row';
  return element(
    'tr',
    '',
    head,
    element('td', isWhole ? 'good' : 'bad', text),
    element(
      'td',
      'number',
      orDash(app.cpuCores, value => value.toFixed(2)),
    ),
    element('td', 'number', orDash(app.residentMemoryBytes, bytes)),
    element(
      'td',
      'number',
      orDash(app.eventLoopLagSeconds, value => milliseconds(value * 1000)),
    ),
    element(
      'td',
      'number',
      orDash(youngest, value => age(now - value)),
    ),
  );
}

function show(status) {
  const missing = status.apps.filter(app => app.answering < app.expected);
  const overall = at('overall');
  overall.className = `badge ${status.isReady ? (missing.length > 0 ? 'warn' : 'good') : 'bad'}`;
  const text = status.isReady ? (missing.length > 0 ? 'degraded' : 'all ready') : 'not ready';
  // Set only when it changes: a screen reader speaks each change.
  if (overall.textContent !== text) overall.textContent = text;
  at('models').replaceChildren(...status.models.map(model => modelCard(model, status.at)));
  showTraffic(status);
  showHost(status);
  at('apps').replaceChildren(...status.apps.map(app => appRow(app, status.at)));
}

function showProblem(text) {
  const problem = at('problem');
  if (problem.textContent !== text) problem.textContent = text;
  problem.hidden = text === '';
  at('content').classList.toggle('stale', text !== '');
}

async function refresh() {
  try {
    const response = await fetch('admin/status', {
      headers: key ? { authorization: `Bearer ${key}` } : {},
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    if (!response.ok) {
      const answer = await response.json().catch(() => null);
      throw new Error(`${response.status}: ${answer?.error?.message ?? 'no answer'}`);
    }
    show(await response.json());
    lastSeen = new Date();
    at('updated').textContent = `updated ${lastSeen.toLocaleTimeString()}`;
    showProblem('');
  } catch (error) {
    const since = lastSeen ? `No news since ${lastSeen.toLocaleTimeString()}` : 'The status cannot be read';
    showProblem(`${since} (${error.message}).`);
  } finally {
    setTimeout(refresh, refreshMs);
  }
}

refresh();
