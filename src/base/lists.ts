/** Adds any number of items to a list. A spread into `push` takes only as many as fit the stack. */
export function append<T>(list: T[], items: Iterable<T>): void {
  for (const item of items) list.push(item);
}
