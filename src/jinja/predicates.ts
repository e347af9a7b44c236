import { bind, type Signature } from "../python/arguments.js";
import { except } from "../python/error.js";
import { isFloat, isInt } from "../python/numbers.js";
import { Range } from "../python/objects.js";
import { binary, type ComparisonOperator, compare } from "../python/operators.js";
import { isLower, isUpper } from "../python/text.js";
import {
  type Arguments,
  charactersOf,
  contains,
  Dict,
  equals,
  hashOf,
  isNumber,
  isSame,
  isText,
  iterate,
  List,
  length,
  Markup,
  PythonObject,
  str,
  Tuple,
  Undefined,
  type Value,
} from "../python/values.js";
import { isFilterName } from "./filter-names.js";

// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-tests

/** A test of a value with arguments. */
export type Test = (given: Arguments) => boolean;

function test(signature: Signature, run: (value: Value, ...values: Value[]) => boolean): Test {
  return (given) => run(...(bind("the test", ["value", ...signature], given) as [Value, ...Value[]]));
}

function comparison(operator: ComparisonOperator): Test {
  return test(["b"], (value, other) => compare(operator, value, other!));
}

function remainder(value: Value, divisor: Value): Value {
  return binary("%", value, divisor);
}

function succeeds(attempt: () => unknown): boolean {
  const run = (): boolean => {
    attempt();
    return true;
  };
  return except(["TypeError", "UndefinedError", "SecurityError"], run, () => false);
}

const defined = test([], (value) => !(value instanceof Undefined));
const equal = comparison("==");
const greater = comparison(">");
const less = comparison("<");

const TESTS: Readonly<Record<string, Test>> = {
  odd: test([], (value) => equals(remainder(value, 2), 1)),
  even: test([], (value) => equals(remainder(value, 2), 0)),
  divisibleby: test(["num"], (value, divisor) => equals(remainder(value, divisor!), 0)),
  defined,
  undefined: (given) => !defined(given),
  filter: test([], (value) => isKnown(value, isFilterName)),
  test: test([], (value) => isKnown(value, (name) => testNamed(name) !== undefined)),
  none: test([], (value) => value === null),
  boolean: test([], (value) => typeof value === "boolean"),
  false: test([], (value) => value === false),
  true: test([], (value) => value === true),
  integer: test([], (value) => isInt(value)),
  float: test([], (value) => isFloat(value)),
  lower: test([], (value) => isLower(str(value))),
  upper: test([], (value) => isUpper(str(value))),
  string: test([], isText),
  mapping: test([], (value) => value instanceof Dict),
  number: test([], isNumber),
  sequence: test([], (value) => isSubscriptable(value) && succeeds(() => length(value))),
  iterable: test([], (value) => succeeds(() => iterate(value))),
  callable: test([], (value) => value instanceof PythonObject && value.isCallable),
  sameas: test(["other"], (value, other) => isSame(value, other!)),
  escaped: test([], (value) => value instanceof Markup),
  in: test(["seq"], (value, container) => contains(container!, value)),
  "==": equal,
  eq: equal,
  equalto: equal,
  "!=": comparison("!="),
  ne: comparison("!="),
  ">": greater,
  gt: greater,
  greaterthan: greater,
  ge: comparison(">="),
  ">=": comparison(">="),
  "<": less,
  lt: less,
  lessthan: less,
  "<=": comparison("<="),
  le: comparison("<="),
};

function isKnown(value: Value, names: (name: string) => boolean): boolean {
  hashOf(value); // Names are the keys of a dict, which lists cannot be.
  return isText(value) && names(charactersOf(value));
}

function isSubscriptable(value: Value): boolean {
  return isText(value) || [List, Tuple, Dict, Range, Undefined].some((type) => value instanceof type);
}

/** The test of a name; undefined if there is none. */
export function testNamed(name: string): Test | undefined {
  return Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
}
