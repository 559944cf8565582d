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
  /** Its values are counts: the axis has no halves. */
  isCount?: boolean;
}

const heightPx = 148;
/** Distances of the lines of an axis of counts. */
const countSteps = [1, 10, 100, 1000, 10_000, 100_000].flatMap(step => [step, 2 * step, 5 * step]);
const mostSeconds = 15 * 60;
const leastSeconds = 2 * 60;

/**
 * The last minutes as lines, 15 at most. Its figures stand beside it as text: the newest, or those under the pointer, which the
 * arrow keys move too (Home, End: the first and the last point; Escape: the newest again).
 */
export function Chart({ title, points, series, show, isCount = false }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const theme = useTheme();

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = new uPlot(optionsFor(element, { series, show, isCount }, setPointed), [[]], element);
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

  const onKeyDown = (event: KeyboardEvent) => {
    const to = pointAfter(event.key, pointed, points.length);
    if (to === undefined) return;
    event.preventDefault();
    // The line of the chart goes with it; without a place in the window it is out of sight.
    const left = to === null ? -10 : (plot.current?.valToPos((points[to]?.at ?? 0) / 1000, 'x') ?? -10);
    plot.current?.setCursor({ left, top: 0 }, false);
    setPointed(to);
  };
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
      <div
        role="slider"
        tabIndex={0}
        aria-label={`${title}, by time`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, points.length - 1)}
        aria-valuenow={pointed ?? Math.max(0, points.length - 1)}
        aria-valuetext={point ? spoken(point, series, show) : 'nothing yet'}
        onKeyDown={onKeyDown}
        onBlur={() => setPointed(null)}
      >
        <div ref={place} aria-hidden="true" />
      </div>
    </figure>
  );
}

/** The point that a key leads to: null is the newest, whichever that is; undefined: the key is not for us. */
function pointAfter(key: string, pointed: number | null, count: number): number | null | undefined {
  const last = count - 1;
  if (last < 0) return undefined;
  const from = pointed ?? last;
  switch (key) {
    case 'ArrowLeft':
      return Math.max(0, from - 1);
    case 'ArrowRight':
      return Math.min(last, from + 1);
    case 'Home':
      return 0;
    case 'End':
      return last;
    case 'Escape':
      return null;
    default:
      return undefined;
  }
}

const spoken = (point: HistoryPoint, series: readonly Series[], show: (value: number) => string) =>
  `${clock(point.at)}: ${series.map(({ label, value }) => `${label} ${orDash(value(point), show)}`).join(', ')}`;

function optionsFor(
  element: HTMLElement,
  { series, show, isCount }: Pick<ChartProps, 'series' | 'show' | 'isCount'>,
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
      {
        ...axis,
        size: 58,
        space: 34,
        ...(isCount && { incrs: countSteps }),
        values: (_plot, values) => values.map(show),
      },
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
