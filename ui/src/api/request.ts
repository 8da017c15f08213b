// One way to ask the server: the key and tenant of the session, errors as one type with what the server said.
import { session } from "../state/session.svelte";

/** Why a question has no answer. `status` 0: the server cannot be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly word: string,
    message: string,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
  }

  /** Whether it was called off by the page itself. */
  get isCancelled(): boolean {
    return this.word === "cancelled";
  }
}

export interface Asking {
  method?: "GET" | "POST" | "DELETE";
  /** Of the URL, or of a form where that would be long. */
  parameters?: Record<string, string | number | undefined>;
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const URL_CHARACTERS_MAX = 6000;

/** The answer, whatever it holds; an `ApiError` for everything but a success. */
export async function ask(path: string, asking: Asking = {}): Promise<Response> {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(asking.parameters ?? {})) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const headers: Record<string, string> = { ...session.headers(), ...asking.headers };
  let url = parameters.size > 0 ? `${path}?${parameters}` : path;
  const init: RequestInit = { method: asking.method ?? "GET", headers, signal: asking.signal ?? null, credentials: "same-origin" };
  if (asking.json !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(asking.json);
  } else if (url.length > URL_CHARACTERS_MAX && init.method === "GET") {
    url = path;
    init.method = "POST";
    init.body = parameters;
  }
  let answer: Response;
  try {
    answer = await fetch(url, init);
  } catch (error) {
    if (asking.signal?.aborted) throw new ApiError(0, "cancelled", "called off");
    throw new ApiError(0, "away", `the server cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
  }
  session.noteAnswer(answer.status);
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** The answer as JSON. */
export async function askJson<T>(path: string, asking: Asking = {}): Promise<T> {
  const answer = await ask(path, asking);
  try {
    return (await answer.json()) as T;
  } catch (error) {
    if (asking.signal?.aborted) throw new ApiError(0, "cancelled", "called off");
    throw new ApiError(answer.status, "broken_answer", `the answer to ${path} broke off: ${String(error)}`);
  }
}

async function refusal(answer: Response): Promise<ApiError> {
  const text = (await answer.text().catch(() => "")).trim();
  const retryAfter = Number(answer.headers.get("retry-after"));
  const seconds = Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null;
  try {
    const body = JSON.parse(text) as { error?: string; message?: string };
    return new ApiError(answer.status, body.error ?? "refused", body.message ?? text, seconds);
  } catch {
    return new ApiError(answer.status, "refused", text || `the server answered ${answer.status}`, seconds);
  }
}

/** Anything thrown, as an `ApiError`. */
export function asApiError(thrown: unknown): ApiError {
  return thrown instanceof ApiError ? thrown : new ApiError(0, "page", thrown instanceof Error ? thrown.message : String(thrown));
}
