import { z } from 'zod';
import { addressRange } from './address-range.ts';

const port = (fallback: number, what: string) =>
  z.int().min(1).max(65535).default(fallback).meta({ description: what });

const seconds = (fallback: number, what: string) =>
  z.number().positive().max(86400).default(fallback).meta({ description: what });

const model = (defaults: {
  path: string;
  served_name: string;
  port: number;
  gpu: number;
  gpu_memory_utilization: number;
}) =>
  z
    .strictObject({
      path: z.string().min(1).default(defaults.path).meta({ description: 'Folder of the model checkpoint.' }),
      served_name: z
        .string()
        .min(1)
        .default(defaults.served_name)
        .meta({ description: 'Model name that clients send.' }),
      port: port(defaults.port, 'Port of the first model server on 127.0.0.1; replicas use +10, +20, …'),
      gpu: z.int().min(0).default(defaults.gpu).meta({ description: 'GPU index (CUDA_VISIBLE_DEVICES).' }),
      gpu_memory_utilization: z.number().gt(0).max(1).default(defaults.gpu_memory_utilization).meta({
        description: "Share of the GPU's total memory that the model server may take, above 0 to 1.",
      }),
      replicas: z
        .int()
        .min(1)
        .max(16)
        .default(1)
        .meta({ description: 'Model servers to run; they share the GPU memory share evenly.' }),
      max_model_len: z
        .int()
        .min(1)
        .default(32768)
        .meta({ description: 'Longest input in tokens, special tokens included.' }),
      block_size: z.int().min(1).default(16).meta({ description: "vLLM's --block-size, tokens a KV block." }),
      dtype: z
        .enum(['bfloat16', 'float16', 'float32', 'auto'])
        .default('bfloat16')
        .meta({ description: "vLLM's --dtype: the number format of weights and activations." }),
      max_num_seqs: z.int().min(1).nullable().default(null).meta({
        description:
          "vLLM's --max-num-seqs, inputs in one step of its engine. Empty: 512 for embedding on a GPU, else vLLM's own.",
      }),
      max_num_batched_tokens: z.int().min(1).nullable().default(null).meta({
        description:
          "vLLM's --max-num-batched-tokens, tokens in one step. Empty: 32768 for embedding on a GPU, else vLLM's own.",
      }),
      kv_cache_memory_bytes: z.int().min(1).nullable().default(null).meta({
        description:
          "vLLM's --kv-cache-memory-bytes: the KV cache's size on a GPU, instead of what gpu_memory_utilization leaves.",
      }),
      niceness: z.int().min(0).max(19).default(5).meta({
        description:
          'How far the gateway and others go before the model server where cores are short (nice(1)). 0: not at all.',
      }),
      extra_args: z
        .array(z.string())
        .default([])
        .meta({ description: 'Arguments added to `vllm serve` as they are.' }),
      urls: z
        .array(z.url({ protocol: /^https?$/ }))
        .default([])
        .meta({ description: 'Model servers run by somebody else; chooses the external engine.' }),
    })
    .prefault({});

/**
 * The whole configuration: every setting, its default, its bounds and its meaning, in one place. The reference page
 * (docs/configuration.md) and the commented example are generated from it. Units are in the names.
 */
export const configSchema = z.strictObject({
  engine: z.enum(['auto', 'vllm', 'builtin', 'external']).default('auto').meta({
    description:
      'What answers: vLLM, the built-in CPU engine, or servers given by `urls`. auto chooses per model.',
  }),
  gateway: z
    .strictObject({
      host: z.string().min(1).default('0.0.0.0').meta({ description: 'Address to listen on.' }),
      port: port(2048, 'Port of the gateway.'),
      workers: z.int().min(1).max(1024).default(64).meta({ description: 'Gateway processes.' }),
      timeout_seconds: z
        .number()
        .positive()
        .max(86400)
        .default(600)
        .meta({ description: 'Longest time from the arrival of a request to its answer; then 504.' }),
      max_body_bytes: z
        .int()
        .min(1024)
        .default(33554432)
        .meta({ description: 'Largest request body after decompression; above it 413.' }),
      header_timeout_seconds: seconds(
        20,
        'Longest time for the header of a request, or for a TLS handshake.',
      ),
      body_timeout_seconds: seconds(120, 'Longest time for the body of a request, after its header.'),
      send_timeout_seconds: seconds(
        60,
        'A client that takes nothing of its answer for that long is cut off.',
      ),
      keep_alive_seconds: seconds(
        75,
        'How long an idle connection is kept; longer than proxies in front keep theirs (60 s).',
      ),
      max_concurrent_streams: z
        .int()
        .min(1)
        .max(10000)
        .default(128)
        .meta({ description: 'Requests at once on one HTTP/2 connection.' }),
      trusted_proxies: z.array(addressRange).default([]).meta({
        description:
          'Addresses (10.0.0.1, 10.0.0.0/8) of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.',
      }),
      cors_origins: z
        .array(z.string().regex(/^(\*|https?:\/\/[^/\s]+)$/, 'must be * or an origin as https://app.example'))
        .default([])
        .meta({ description: 'Web pages (https://app.example, or *) that may call from a browser.' }),
      tls: z
        .strictObject({
          cert: z
            .string()
            .nullable()
            .default(null)
            .meta({ description: 'PEM certificate chain file; read again when it changes.' }),
          key: z
            .string()
            .nullable()
            .default(null)
            .meta({ description: 'PEM private key file; read again when it changes.' }),
          hsts_seconds: z
            .int()
            .min(0)
            .default(0)
            .meta({ description: 'max-age of Strict-Transport-Security on answers over HTTPS; 0: none.' }),
        })
        .prefault({}),
    })
    .prefault({}),
  limits: z
    .strictObject({
      requests_per_minute: z
        .int()
        .min(1)
        .default(100)
        .meta({ description: 'Requests a minute for each API key, over all workers.' }),
      inputs_per_minute: z
        .int()
        .min(1)
        .nullable()
        .default(null)
        .meta({ description: 'Texts and documents a minute for each API key. Empty: no limit.' }),
      tokens_per_minute: z
        .int()
        .min(1)
        .nullable()
        .default(null)
        .meta({ description: 'Tokens a minute for each API key. Empty: no limit.' }),
      concurrency: z
        .int()
        .min(1)
        .default(500)
        .meta({ description: 'Requests in flight on this host; the next one gets 503.' }),
      inputs_per_request: z
        .int()
        .min(1)
        .default(2048)
        .meta({ description: 'Texts in one embeddings request, documents in one rerank request.' }),
    })
    .prefault({}),
  redis: z
    .strictObject({
      url: z
        .url({ protocol: /^(rediss?|unix)$/ })
        .nullable()
        .default(null)
        .meta({
          description:
            'Redis for keys and limits shared by hosts; REDIS_URL is accepted too. Empty: the state app.',
        }),
    })
    .prefault({}),
  keys: z
    .strictObject({
      file: z.string().min(1).default('er_api_keys.json').meta({ description: 'API key file, mode 0600.' }),
    })
    .prefault({}),
  logs: z
    .strictObject({
      dir: z
        .string()
        .min(1)
        .default('logs')
        .meta({ description: 'Folder of logs, pid files and the audit trail.' }),
      level: z
        .enum(['error', 'warn', 'info', 'debug'])
        .default('info')
        .meta({ description: 'Least severe event that is logged.' }),
      model_max_bytes: z.int().min(4096).default(52428800).meta({
        description: "A model server's log is put away and compressed when it would grow beyond this.",
      }),
      model_files: z
        .int()
        .min(1)
        .max(100)
        .default(5)
        .meta({ description: 'Compressed logs kept for each model server.' }),
    })
    .prefault({}),
  audit: z
    .strictObject({
      max_file_bytes: z.int().min(4096).default(67108864).meta({
        description:
          "A process's file of the audit trail is put away and compressed at this size, and each day.",
      }),
      retention_days: z.int().min(1).nullable().default(90).meta({
        description: 'Files of the audit trail whose last line is older are deleted. Empty: none is.',
      }),
      max_total_bytes: z.int().min(65536).default(10737418240).meta({
        description: 'What the audit trail may take up; its oldest files are deleted above that.',
      }),
    })
    .prefault({}),
  run_dir: z.string().min(1).nullable().default(null).meta({
    description:
      'Folder of the unix sockets, made with mode 0700. Empty: under XDG_RUNTIME_DIR or the temp folder, by port.',
  }),
  models: z
    .strictObject({
      embedding: model({
        path: '/mnt/workspace/model/Qwen/Qwen3-Embedding-0.6B',
        served_name: 'Qwen3-Embedding-0.6B',
        port: 8000,
        gpu: 1,
        gpu_memory_utilization: 0.9,
      }),
      reranker: model({
        path: '/mnt/workspace/model/Qwen/Qwen3-Reranker-0.6B',
        served_name: 'Qwen3-Reranker-0.6B',
        port: 8001,
        gpu: 0,
        gpu_memory_utilization: 0.97,
      }),
    })
    .prefault({}),
  vllm: z
    .strictObject({
      command: z
        .string()
        .min(1)
        .default('vllm')
        .meta({ description: 'The vllm program: a name on PATH or a path.' }),
      device: z
        .enum(['auto', 'gpu', 'cpu'])
        .default('auto')
        .meta({ description: 'auto: GPU when nvidia-smi lists one.' }),
    })
    .prefault({}),
  cache: z
    .strictObject({
      max_bytes: z
        .int()
        .min(0)
        .default(268435456)
        .meta({ description: 'Memory for cached vectors and scores; 0 turns the cache off.' }),
      scope: z
        .enum(['key', 'shared'])
        .default('key')
        .meta({ description: 'Who may hit an entry: the key that made it, or every key (leaks by timing).' }),
    })
    .prefault({}),
  batch: z
    .strictObject({
      max_items: z
        .int()
        .min(1)
        .max(4096)
        .default(64)
        .meta({ description: 'Most texts or pairs in one call to a model server.' }),
      max_tokens: z
        .int()
        .min(1)
        .default(16384)
        .meta({ description: 'Most tokens in one call; a longer input goes alone.' }),
      slots: z
        .int()
        .min(1)
        .max(64)
        .nullable()
        .default(null)
        .meta({ description: 'Calls under way on one model server at once. Empty: found while running.' }),
      window_ms: z.number().min(0).max(1000).nullable().default(null).meta({
        description:
          'Time between calls to a busy server, while a batch fills. Empty: until its callers are back, as long as a call at most.',
      }),
    })
    .prefault({}),
  feedback: z
    .strictObject({
      max_bytes: z.int().min(0).default(33554432).meta({
        description:
          'Memory for what was answered (scores, no texts), half for each model, until feedback comes; 0: feedback only with its ranking.',
      }),
      keep_seconds: z
        .int()
        .min(1)
        .max(2592000)
        .default(86400)
        .meta({ description: 'How long after its answer a request can get feedback, at most.' }),
    })
    .prefault({}),
  tracing: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .nullable()
        .default(null)
        .meta({
          description:
            'Where an OpenTelemetry collector takes traces (OTLP over HTTP): http://127.0.0.1:4318/v1/traces. Empty: no traces.',
        }),
      sample_ratio: z.number().min(0).max(1).default(1).meta({
        description:
          'Share of the requests that are traced when their caller does not say (`traceparent`), 0 to 1.',
      }),
    })
    .prefault({}),
  monitor: z
    .strictObject({
      port: port(2049, 'Loopback port of metrics and dashboard, without a key.'),
    })
    .prefault({}),
});

/** Settings as the user gave them, defaults filled in. */
export type Settings = z.infer<typeof configSchema>;
/** The settings of one model. */
export type ModelSettings = Settings['models']['embedding'];
/** The two models, named by what they do. */
export type Role = 'embedding' | 'reranker';
/** Both roles, in the order in which they are shown. */
export const roles = ['embedding', 'reranker'] as const satisfies readonly Role[];
