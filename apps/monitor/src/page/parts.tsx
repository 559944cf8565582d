import type { ComponentChildren } from 'preact';
import { orDash, percent } from './format.ts';

export type Look = 'good' | 'warn' | 'bad' | 'idle';

/** A state in words, with a mark whose shape differs as its colour does. */
export function State({ look, text }: { look: Look; text: string }) {
  return <span class={`state ${look}`}>{text}</span>;
}

/** One titled part of the page. */
export function Panel({
  title,
  note,
  children,
}: {
  title: string;
  note?: string;
  children: ComponentChildren;
}) {
  const id = `${title.toLowerCase().replaceAll(' ', '-')}-title`;
  return (
    <section class="panel" aria-labelledby={id}>
      <h2 id={id}>
        {title} {note && <small class="quiet">{note}</small>}
      </h2>
      {children}
    </section>
  );
}

/** A share of 0 to 1 as a bar with its text. */
export function Share({ label, share, text }: { label: string; share: number | null; text?: string }) {
  return (
    <div class="share">
      <span class="share-label">{label}</span>
      <span class="share-text">{text ?? orDash(share, percent)}</span>
      <progress max={1} value={share ?? 0} aria-label={label} />
    </div>
  );
}

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ComponentChildren;
  isNumber?: boolean;
}

export interface TableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}

/** A table whose first column names its rows; scrolls sideways, by keyboard too, where it has no room. */
export function Table<Row>({ label, columns, rows, keyOf }: TableProps<Row>) {
  const [first, ...others] = columns;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms, and a section would be a landmark
    <div class="scroll" role="group" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ title, isNumber }) => (
              <th key={title} scope="col" class={isNumber ? 'number' : ''}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={keyOf(row)}>
              <th scope="row">{first?.cell(row)}</th>
              {others.map(({ title, cell, isNumber }) => (
                <td key={title} class={isNumber ? 'number' : ''}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
