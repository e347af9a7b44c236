import { PythonError } from "../python/error.js";
import { type Float, float, type Int, parseInteger } from "../python/numbers.js";
import { codePointEscape, isOfClass, quoted, SPACE, stripEnd } from "../python/text.js";

// https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control with `trim_blocks` and `lstrip_blocks` on.

export type Token =
  | { readonly type: "data" | "name" | "string" | "operator"; readonly line: number; readonly value: string }
  | { readonly type: "number"; readonly line: number; readonly value: Int | Float }
  | { readonly type: Boundary; readonly line: number; readonly value: "" };

type Boundary = "block_begin" | "block_end" | "variable_begin" | "variable_end" | "eof";

/** Operators, longest first. */
const OPERATORS = ["//", "**", "==", "!=", ">=", "<=", ..."+-/*%~[](){}><=.:|,;"];

const CLOSING: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };

const ALL_SPACE = new RegExp(`^[${SPACE}]+$`);

function sticky(pattern: string, flags = ""): RegExp {
  return new RegExp(pattern, `y${flags}`);
}

const S = `[${SPACE}]*`;
const RAW_BEGIN = sticky(`\\{%([-+]?)${S}raw${S}(?:-%\\}${S}|%\\})`);
const RAW_END = new RegExp(`\\{%([-+]?)${S}endraw${S}(?:\\+%\\}|-%\\}${S}|%\\}\\n?)`, "g");
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${S}|#\\}\\n?`, "g");
const ENDS = {
  block: sticky(`\\+%\\}|-%\\}${S}|%\\}\\n?`),
  variable: sticky(`-\\}\\}${S}|\\}\\}`),
} as const;

const SPACES = sticky(`[${SPACE}]+`);
const FLOAT = sticky("(?<!\\.)(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?e[+-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+)", "i");
const INTEGER = sticky("0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\\da-f])+|[1-9](?:_?\\d)*|0(?:_?0)*", "i");
const NAME = sticky("[\\p{XID_Continue}\\p{N}]+", "u");
const STRING = sticky(`'(?:[^'\\\\]|\\\\.)*'|"(?:[^"\\\\]|\\\\.)*"`, "s");

/** The tokens of a template. @throws SyntaxError. */
export function tokenize(template: string): Token[] {
  return new Lexer(template).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #position = 0;
  #line = 1;
  /** Position up to which lines are counted. */
  #counted = 0;
  /** True if what came before ended with a line break. */
  #startsLine = true;

  constructor(template: string) {
    // A single line break at the end of a template does not count.
    this.#source = template.replace(/\r\n|\r/g, "\n").replace(/\n$/, "");
  }

  run(): Token[] {
    while (this.#position < this.#source.length) this.#root();
    this.#push("eof", "");
    return this.#tokens;
  }

  #root(): void {
    const begin = /\{[%{#]/g;
    begin.lastIndex = this.#position;
    const match = begin.exec(this.#source);
    if (match === null) {
      this.#data(this.#source.slice(this.#position));
      this.#position = this.#source.length;
      return;
    }
    const text = this.#source.slice(this.#position, match.index);
    const raw = this.#match(RAW_BEGIN, match.index);
    const sign = raw?.[1] ?? /[-+]?/y.exec(this.#source.slice(match.index + 2))![0];
    this.#data(this.#stripped(text, sign, match[0] === "{{"));
    this.#move(match.index + (raw?.[0].length ?? match[0].length + sign.length));
    if (raw !== undefined) this.#raw();
    else if (match[0] === "{#") this.#comment();
    else if (match[0] === "{%") this.#code("block");
    else this.#code("variable");
  }

  /** The text before a tag: `-` takes all white space from its end, and a block tag that of its own line. */
  #stripped(text: string, sign: string, isVariable: boolean): string {
    if (sign === "-") return stripEnd(text);
    if (sign === "+" || isVariable) return text;
    const start = text.lastIndexOf("\n") + 1;
    const isLineStart = start > 0 || this.#startsLine;
    return isLineStart && ALL_SPACE.test(text.slice(start)) ? text.slice(0, start) : text;
  }

  #comment(): void {
    COMMENT_END.lastIndex = this.#position;
    const end = COMMENT_END.exec(this.#source);
    if (end === null) this.#requireEnd("Missing end of comment tag");
    else this.#move(end.index + end[0].length);
  }

  #raw(): void {
    RAW_END.lastIndex = this.#position;
    const end = RAW_END.exec(this.#source);
    if (end === null) {
      this.#requireEnd("Missing end of raw directive");
      return;
    }
    this.#data(this.#stripped(this.#source.slice(this.#position, end.index), end[1]!, false));
    this.#move(end.index + end[0].length);
  }

  /** Jinja2 does not mind a tag that begins where the template ends. */
  #requireEnd(message: string): void {
    if (this.#position < this.#source.length) throw this.#fail(message);
  }

  #code(kind: "block" | "variable"): void {
    this.#push(`${kind}_begin`, "");
    const open: string[] = [];
    while (this.#position < this.#source.length) {
      const end = open.length === 0 ? this.#match(ENDS[kind], this.#position) : undefined;
      if (end !== undefined) {
        this.#push(`${kind}_end`, "");
        this.#move(this.#position + end[0].length);
        return;
      }
      this.#token(open);
    }
  }

  #token(open: string[]): void {
    const at = this.#position;
    const take = (pattern: RegExp): string | undefined => {
      const match = this.#match(pattern, at);
      if (match !== undefined) this.#position += match[0].length;
      return match?.[0];
    };
    if (take(SPACES) !== undefined) {
      this.#startsLine = this.#source[this.#position - 1] === "\n";
      return;
    }
    this.#countLines(at);
    this.#startsLine = false;
    if (this.#literal(take)) return;
    const operator = OPERATORS.find((one) => this.#source.startsWith(one, at));
    if (operator === undefined) {
      throw this.#fail(`unexpected char ${quoted(String.fromCodePoint(this.#source.codePointAt(at)!))} at ${at}`);
    }
    this.#position += operator.length;
    const closing = CLOSING[operator];
    if (closing !== undefined) open.push(closing);
    else if ("})]".includes(operator)) {
      const expected = open.pop();
      if (expected === undefined) throw this.#fail(`unexpected '${operator}'`);
      if (expected !== operator) throw this.#fail(`unexpected '${operator}', expected '${expected}'`);
    }
    this.#push("operator", operator);
  }

  /** True if a number, name or text was there. */
  #literal(take: (pattern: RegExp) => string | undefined): boolean {
    const real = take(FLOAT);
    const integer = real ?? take(INTEGER);
    if (real !== undefined) this.#number(float(Number(real.replaceAll("_", ""))));
    else if (integer !== undefined) this.#number(parseInteger(integer.replaceAll("_", ""), 0));
    if (integer !== undefined) return true;
    const name = take(NAME);
    if (name !== undefined) {
      if (!isOfClass("isidentifier", name)) throw this.#fail("Invalid character in identifier");
      this.#push("name", name);
      return true;
    }
    const string = take(STRING);
    if (string !== undefined) this.#push("string", this.#unescaped(string.slice(1, -1)));
    return string !== undefined;
  }

  #match(pattern: RegExp, at: number): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    return pattern.exec(this.#source) ?? undefined;
  }

  #data(text: string): void {
    if (text !== "") this.#push("data", text);
  }

  #number(value: Int | Float): void {
    this.#tokens.push({ type: "number", line: this.#line, value });
  }

  #push(type: Exclude<Token["type"], "number">, value: string): void {
    this.#tokens.push({ type, line: this.#line, value } as Token);
  }

  /** Goes on behind a tag. */
  #move(position: number): void {
    this.#position = position;
    this.#startsLine = this.#source[position - 1] === "\n";
    this.#countLines(position);
  }

  #countLines(position: number): void {
    for (; this.#counted < position; this.#counted++) if (this.#source[this.#counted] === "\n") this.#line++;
  }

  #fail(message: string): PythonError {
    return new PythonError("SyntaxError", message, this.#line);
  }

  /** A literal as Python's `unicode_escape` reads it. */
  #unescaped(text: string): string {
    return text.replace(ESCAPE, (written) => {
      const letter = written[1]!;
      const simple = SIMPLE_ESCAPES[letter];
      if (simple !== undefined) return simple;
      if (/^[0-7]/.test(letter)) return String.fromCharCode(Number.parseInt(written.slice(1), 8));
      if (written.length > 2 && "xuU".includes(letter)) {
        const code = Number.parseInt(written.slice(2), 16);
        if (code <= 0x10ffff) return letter === "U" ? String.fromCodePoint(code) : String.fromCharCode(code);
        throw this.#fail("illegal Unicode character");
      }
      if ("xuU".includes(letter)) throw this.#fail(`truncated \\${letter} escape`);
      if (letter === "N") throw this.#fail("\\N{…} is not known here; write the character itself");
      // Jinja2 escapes such a character before it reads the escapes.
      const char = written.slice(1);
      return char > "\x7f" ? codePointEscape(char) : written;
    });
  }
}

const ESCAPE = /\\(?:[0-7]{1,3}|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|.)/gsu;

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
