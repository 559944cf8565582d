import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { HistoryPoint } from '../history.ts';
import { clock, orDash } from './format.ts';

/** One line of a chart. */
export interface Series {
  label: string;
  value: (point: HistoryPoint) => number | null;
  /** Name of the colour in page.css, without its dashes. */
  color: string;
  /** Lengths of strokes and gaps, so that lines differ without colour too. */
  dash?: number[];
}

export interface ChartProps {
  title: string;
  points: readonly HistoryPoint[];
  series: readonly Series[];
  /** A value with its unit. */
  show: (value: number) => string;
}

const heightPx = 148;
const mostSeconds = 15 * 60;
const leastSeconds = 2 * 60;

/** The last minutes as lines, 15 at most. Its figures stand beside it as text: the newest, or those under the pointer. */
export function Chart({ title, points, series, show }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const theme = useTheme();

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(optionsFor(element, series, show, setPointed), [[]], element);
    plot.current = made;
    const resizing = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }));
    resizing.observe(element);
    return () => {
      resizing.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [theme]);
  useEffect(() => {
    plot.current?.setData([
      points.map(({ at }) => at / 1000),
      ...series.map(({ value }) => points.map(value)),
    ] as uPlot.AlignedData);
  }, [points, theme]);

  const point = (pointed === null ? undefined : points[pointed]) ?? points.at(-1);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="quiet">{pointed !== null && point ? clock(point.at) : ''}</span>
        <ul class="legend">
          {series.map(({ label, value, color }) => (
            <li key={label}>
              <span class={`swatch ${color}`} aria-hidden="true" />
              {label} <b>{orDash(point && value(point), show)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

function optionsFor(
  element: HTMLElement,
  series: readonly Series[],
  show: (value: number) => string,
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: color('quiet'),
    font: `11px ${style.fontFamily}`,
    ticks: { show: false },
    grid: { stroke: color('line'), width: 1 },
  };
  return {
    width: element.clientWidth,
    height: heightPx,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: {
        range: (_plot, first, last) => {
          const end = last ?? Date.now() / 1000;
          return [Math.max(end - mostSeconds, Math.min(first ?? end, end - leastSeconds)), end];
        },
      },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 22,
        space: 70,
        grid: { show: false },
        values: (_plot, times) =>
          times.map(seconds => clock(seconds * 1000).slice(0, seconds % 60 === 0 ? 5 : 8)),
      },
      { ...axis, size: 58, space: 34, values: (_plot, values) => values.map(show) },
    ],
    series: [
      {},
      ...series.map(line => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.5,
        points: { show: false },
        ...(line.dash && { dash: line.dash }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

/** `dark` or `light`, as the system says now. */
function useTheme(): string {
  const query = matchMedia('(prefers-color-scheme: dark)');
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const follow = () => setDark(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, []);
  return isDark ? 'dark' : 'light';
}
