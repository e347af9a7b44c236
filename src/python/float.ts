/**
 * A float of Python that a JavaScript number cannot tell from an int: `20.0`, `-0.0`, `1e22`. In data for templates, an
 * integral number is an int, and any other number is a float.
 */
export class PythonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  valueOf(): number {
    return this.value;
  }

  toJSON(): number {
    return this.value;
  }
}
