/** An error as vLLM 0.32 sends it; the texts are vLLM's, so that whoever reads them need not tell the two apart. */
export class EngineError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }

  /** vLLM's envelope. */
  toBody() {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.status } };
  }
}

/** The request makes no sense to the model. */
export class BadRequestError extends EngineError {
  constructor(message: string, param: string | null = null) {
    super(400, 'BadRequestError', message, param);
  }
}

/** The body is not what the route takes; vLLM gives these another type, with a space. */
export class InvalidBodyError extends EngineError {
  constructor(problems: readonly string[], param: string | null) {
    const count = problems.length === 1 ? '1 validation error' : `${problems.length} validation errors`;
    super(400, 'Bad Request', `${count}:\n  ${problems.join('\n  ')}`, param);
  }
}

export class BodyTooLargeError extends EngineError {
  constructor(maxBytes: number) {
    super(413, 'Request Entity Too Large', `The body is larger than ${maxBytes} bytes.`);
  }
}

export class UnknownModelError extends EngineError {
  constructor(model: string) {
    super(404, 'NotFoundError', `The model \`${model}\` does not exist.`);
  }
}

export class ContextTooLongError extends BadRequestError {
  private constructor(contains: string, param: string, value: number, limit: number) {
    super(
      `This model's maximum context length is ${limit} tokens. However, your prompt contains ${contains}. ` +
        `Please reduce the length of the input prompt. (parameter=${param}, value=${value})`,
      param,
    );
  }

  static ofTokens(tokens: number, limit: number): ContextTooLongError {
    const contains = `${tokens} input tokens, which exceeds this limit even without any output tokens`;
    return new ContextTooLongError(contains, 'input_tokens', tokens, limit);
  }

  /** Said before the text is tokenized. */
  static ofText(characters: number, maxCharacters: number, limit: number): ContextTooLongError {
    const contains =
      `${characters} characters (more than ${maxCharacters} characters, ` +
      `which is the upper bound for ${limit} input tokens)`;
    return new ContextTooLongError(contains, 'input_text', characters, limit);
  }
}

/** Any thrown value as an error for the caller; the text of an unexpected one stays in the log. */
export function toEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  console.error('ERROR: request failed:', error);
  return new EngineError(500, 'InternalServerError', 'The engine failed on this request; see its log.');
}
