import type { AdminStatus } from '../admin-status.ts';
import { decimals, orDash, percent, whole } from './format.ts';
import { type Column, Panel, Table } from './parts.tsx';

type Quality = AdminStatus['feedback']['total'][number];
interface Row extends Quality {
  span: string;
}

const columns: Column<Row>[] = [
  { title: 'Model', cell: ({ model }) => model },
  { title: 'Span', cell: ({ span }) => span },
  { title: 'Judged', cell: ({ judged }) => whole(judged), isNumber: true },
  { title: 'MRR', cell: ({ mrr }) => orDash(mrr, decimals(3)), isNumber: true },
  { title: 'nDCG@10', cell: ({ ndcgAt10 }) => orDash(ndcgAt10, decimals(3)), isNumber: true },
  { title: 'Precision@1', cell: ({ precisionAt1 }) => orDash(precisionAt1, decimals(3)), isNumber: true },
  { title: 'Ratings', cell: ({ ratings }) => whole(ratings), isNumber: true },
  { title: 'Mean of 5', cell: ({ meanRating }) => orDash(meanRating, decimals(2)), isNumber: true },
  { title: 'Satisfied', cell: ({ csat }) => orDash(csat, percent), isNumber: true },
];

/** What callers thought of the answers, all keys together. */
export function FeedbackPanel({ status: { feedback } }: { status: AdminStatus }) {
  const spans = { 'last hour': feedback.lastHour, 'last day': feedback.lastDay, 'in all': feedback.total };
  const rows = Object.entries(spans).flatMap(([span, qualities]) =>
    qualities.filter(({ key }) => key === null).map(quality => ({ ...quality, span })),
  );
  return (
    <Panel title="Feedback" note="relevance of rankings, and ratings, as callers sent them">
      {rows.length > 0 ? (
        <Table
          label="Feedback by model"
          columns={columns}
          rows={rows}
          keyOf={({ model, span }) => `${model} ${span}`}
        />
      ) : (
        <p class="quiet">Nobody has sent any yet: POST /v1/feedback.</p>
      )}
    </Panel>
  );
}
