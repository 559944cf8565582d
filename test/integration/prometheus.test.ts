import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { type MetricName, metricDefinitions } from '@er-gateway/shared/metrics/definitions';
import type { MetricDefinition } from '@er-gateway/shared/metrics/metric-definition';
import { parse } from 'yaml';
import { projectRoot } from '../kit/stack.ts';
import { ask, createHost } from './monitor/processes.ts';

const folder = join(projectRoot, 'supervisor/deploy');
const alertsFile = join(folder, 'prometheus-alerts.yaml');
const definitions: Record<string, MetricDefinition> = metricDefinitions;

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string };
}
const rules = (parse(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  group => group.rules,
);

interface Panel {
  id: number;
  title: string;
  type: string;
  targets?: { expr: string }[];
  gridPos: { x: number; y: number; w: number; h: number };
}
const dashboard = JSON.parse(readFileSync(join(folder, 'grafana-dashboard.json'), 'utf8')) as {
  panels: Panel[];
  templating: { list: { name: string; query: unknown }[] };
};
const panelExpressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** The definition behind a series: a histogram's has suffixes. */
function definitionOf(series: string): MetricDefinition | undefined {
  const histogram = definitions[series.replace(/_(bucket|sum|count)$/, '')];
  return definitions[series] ?? (histogram?.type === 'histogram' ? histogram : undefined);
}

/** What is wrong with the names and labels in an expression. */
function problemsOf(expression: string): string[] {
  const problems: string[] = [];
  for (const [, series = '', selector = ''] of expression.matchAll(/\b(er_\w+)(?:\{([^}]*)\})?/g)) {
    const definition = definitionOf(series);
    if (!definition) problems.push(`${series} is not documented`);
    else if (definition.type === 'histogram' && series in definitions)
      problems.push(`${series} is a histogram: _bucket, _sum or _count`);
    for (const [, label = ''] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) {
      // `instance` is Prometheus' own.
      const isKnown =
        label === 'le'
          ? series.endsWith('_bucket')
          : label === 'instance' || label in (definition?.labels ?? {});
      if (!isKnown) problems.push(`${series} has no label ${label}`);
    }
  }
  return problems;
}

test('the alerts name metrics and labels that are documented, and say what to do', () => {
  assert.ok(rules.length >= 15);
  for (const { alert, expr, labels, annotations } of rules) {
    assert.deepEqual(problemsOf(expr), [], alert);
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.ok(annotations.summary && annotations.description, alert);
  }
});

test('the dashboard names metrics and labels that are documented', () => {
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { expr } of targets) assert.deepEqual(problemsOf(expr), [], title);
  }
  for (const { name, query } of dashboard.templating.list) {
    const [, metric = '', label = ''] = /label_values\((\w+), (\w+)\)/.exec(JSON.stringify(query)) ?? [];
    if (metric !== '') assert.deepEqual(problemsOf(`${metric}{${label}=""}`), [], name);
  }
});

test('the dashboard shows every metric that there is', () => {
  const shown = panelExpressions.join('\n');
  const missing = (Object.keys(metricDefinitions) as MetricName[]).filter(
    name => !new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(shown),
  );
  assert.deepEqual(missing, []);
});

test('its panels have ids of their own and do not lie on each other', () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  assert.equal(new Set(cells).size, cells.length);
});

test('every query of the dashboard is of the hosts that are chosen', () => {
  for (const expr of panelExpressions)
    for (const [, series = '', selector = ''] of expr.matchAll(/\b(er_\w+)(\{[^}]*\})?/g))
      assert.match(selector, /instance=~"\$instance"/, series);
});

test('every alert has a test of when it fires', () => {
  const tests = readFileSync(join(projectRoot, 'test/fixtures/alerts.test.yaml'), 'utf8');
  for (const { alert } of rules) assert.match(tests, new RegExp(`\\b${alert}\\b`));
});

test('a name that is wrong would be found', () => {
  assert.deepEqual(problemsOf('rate(er_no_such_total[5m])'), ['er_no_such_total is not documented']);
  assert.deepEqual(problemsOf('er_queue_items{modell="x"}'), ['er_queue_items has no label modell']);
  assert.match(problemsOf('er_batch_items')[0] ?? '', /is a histogram/);
});

// Only where Prometheus is installed.
if (spawnSync('promtool', ['--version']).status === 0) {
  const promtool = (args: string[], input = '') => {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8', input });
    return { status, output: stdout + stderr };
  };
  /** A file in a folder of its own for the time of one use. */
  const withFile = (text: string, use: (path: string) => void) => {
    const place = mkdtempSync(join(tmpdir(), 'er-promtool-'));
    try {
      writeFileSync(join(place, 'file.yaml'), text);
      use(join(place, 'file.yaml'));
    } finally {
      rmSync(place, { recursive: true });
    }
  };

  describe('promtool', () => {
    test('finds nothing wrong with the alerts and the example configuration', () => {
      const checked = promtool(['check', 'rules', '--lint=all', '--lint-fatal', alertsFile]);
      assert.equal(checked.status, 0, checked.output);
      const config = promtool(['check', 'config', join(folder, 'prometheus.yaml')]);
      assert.equal(config.status, 0, config.output);
    });

    test('sees the alerts fire when they should, and not when they should not', () => {
      const tests = readFileSync(join(projectRoot, 'test/fixtures/alerts.test.yaml'), 'utf8');
      withFile(tests.replace('- ALERTS', `- ${alertsFile}`), file => {
        const { status, output } = promtool(['test', 'rules', file]);
        assert.equal(status, 0, output);
      });
    });

    test('can read every query of the dashboard', () => {
      const queries = panelExpressions.map((expr, index) => ({
        record: `panel_query_${index}`,
        expr: expr.replaceAll('$__rate_interval', '5m'),
      }));
      withFile(JSON.stringify({ groups: [{ name: 'dashboard', rules: queries }] }), file => {
        const { status, output } = promtool(['check', 'rules', file]);
        assert.equal(status, 0, output);
      });
    });

    test('takes what /metrics says, and finds its names good', async t => {
      const host = await createHost();
      t.after(() => host.stop());
      const gateway = await host.start('gateway');
      await host.startMonitor();
      await gateway.count(3);
      const { body } = await ask(runPaths.monitor(host.runDir), '/metrics');
      const { status, output } = promtool(['check', 'metrics'], body);
      assert.equal(status, 0, output);
    });
  });
}
