import { valueError } from "./error.js";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November"],
  "December",
];
const DAY_MS = 86_400_000;

/**
 * `strftime` of the C locale, in the UTC fields of the moment, without time zone.
 * https://docs.python.org/3.11/library/datetime.html#format-codes
 */
export function strftime(moment: Date, format: string): string {
  const day = moment.getUTCDay();
  const [month, date, year, hours] = [
    moment.getUTCMonth(),
    moment.getUTCDate(),
    moment.getUTCFullYear(),
    moment.getUTCHours(),
  ];
  const dayOfYear = Math.floor((Date.UTC(year, month, date) - Date.UTC(year, 0, 1)) / DAY_MS);
  const two = (value: number, fill = "0"): string => String(value).padStart(2, fill);
  const fields: Readonly<Record<string, () => string>> = {
    a: () => DAYS[day]!.slice(0, 3),
    A: () => DAYS[day]!,
    b: () => MONTHS[month]!.slice(0, 3),
    B: () => MONTHS[month]!,
    c: () => strftime(moment, "%a %b %e %H:%M:%S %Y"),
    C: () => two(Math.floor(year / 100)),
    d: () => two(date),
    D: () => strftime(moment, "%m/%d/%y"),
    e: () => two(date, " "),
    f: () => `${String(moment.getUTCMilliseconds()).padStart(3, "0")}000`,
    F: () => strftime(moment, "%Y-%m-%d"),
    h: () => MONTHS[month]!.slice(0, 3),
    H: () => two(hours),
    I: () => two(hours % 12 || 12),
    j: () => String(dayOfYear + 1).padStart(3, "0"),
    m: () => two(month + 1),
    M: () => two(moment.getUTCMinutes()),
    n: () => "\n",
    p: () => (hours < 12 ? "AM" : "PM"),
    r: () => strftime(moment, "%I:%M:%S %p"),
    R: () => strftime(moment, "%H:%M"),
    S: () => two(moment.getUTCSeconds()),
    t: () => "\t",
    T: () => strftime(moment, "%H:%M:%S"),
    u: () => String(day || 7),
    U: () => two(Math.floor((dayOfYear + 7 - day) / 7)),
    w: () => String(day),
    W: () => two(Math.floor((dayOfYear + 7 - ((day + 6) % 7)) / 7)),
    x: () => strftime(moment, "%m/%d/%y"),
    X: () => strftime(moment, "%H:%M:%S"),
    y: () => two(year % 100),
    Y: () => String(year),
    z: () => "",
    Z: () => "",
    "%": () => "%",
  };
  return format.replace(/%(-?)(.)/gsu, (written, dash: string, letter: string) => {
    const field = Object.hasOwn(fields, letter) ? fields[letter] : undefined;
    if (field === undefined) throw valueError(`strftime_now does not know ${written}`);
    return dash === "" ? field() : field().replace(/^[0 ]+(?=.)/, "");
  });
}
